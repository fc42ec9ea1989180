//! Calls to a leader: many at once over one stream. Calls made while the stream is busy are sent in one write.

use super::{Config, LeaderRows, connection::Guard};
use crate::{
    inbox::Inbox,
    outbox::{Outbox, PushError},
};
use bytes::Bytes;
use littoral_model::{
    caller::Caller,
    catalogue::CatalogueChange,
    digest::{BucketRows, bucket_of},
    format::ProtocolVersion,
    freshness::Consistency,
    module::ModuleDigest,
    ports::ModulePut,
    position::Lsn,
    read::{ReadError, ViewRead},
    region::Region,
    row::Row,
    status::NodeStatus,
    tail::TailPiece,
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use littoral_protocol::{
    call::{Answer, BucketRead, CONTEXT_SINCE, Call, Request, RowsRead},
    members::rpc::{self, Rejection, Reply},
};
use littoral_runtime::trace::{Kind, Span, TraceContext};
use littoral_wire::{call, rows};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::AbortHandle, time::Instant};

/// Calls the leader. Clones share the connection.
#[derive(Clone, Debug)]
pub struct CallClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    version: ProtocolVersion,
    outbox: Outbox,
    pending: Arc<Pending>,
    next_id: AtomicU64,
    in_flight_max: usize,
    call_timeout: Duration,
    module_timeout: Duration,
    reader: AbortHandle,
    _guard: Arc<Guard>,
}

/// The calls that wait for their reply.
#[derive(Debug, Default)]
struct Pending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    calls: HashMap<u64, oneshot::Sender<Bytes>>,
    /// Why no further reply will arrive.
    ended: Option<String>,
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection was lost. It is unknown whether the call was carried out.
    #[error("the connection to the leader was lost: {0}")]
    Disconnected(String),
    /// No reply arrived in time. It is unknown whether the call was carried out.
    #[error("the leader did not reply within {0} ms")]
    Timeout(u64),
    /// Too many calls are waiting. This one was not sent.
    #[error("{0} calls are already waiting for the leader")]
    Overloaded(usize),
    /// The call is too large to be sent.
    #[error("the call is too large: {0}")]
    TooLarge(String),
    /// The leader rejected the call, or its reply does not match the call.
    #[error("the leader rejected the call: {0}")]
    Rejected(String),
}

impl CallError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Disconnected(_) => "disconnected",
            Self::Timeout(_) => "timeout",
            Self::Overloaded(_) => "overloaded",
            Self::TooLarge(_) => "too_large",
            Self::Rejected(_) => "rejected",
        }
    }
}

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Overloaded(_) | CallError::TooLarge(_) => Self::Overloaded(error.to_string()),
            _ => Self::LeaderUnavailable(error.to_string()),
        }
    }
}

impl From<CallError> for WriteError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Overloaded(_) => Self::Overloaded,
            CallError::TooLarge(_) => Self::Invalid(format!("{error}; send it in smaller parts")),
            _ => Self::LeaderUnavailable(error.to_string()),
        }
    }
}

// === impl CallClient ===

impl CallClient {
    pub(crate) fn start(
        outbox: Outbox,
        inbox: Inbox,
        (config, version): (&Config, ProtocolVersion),
        guard: Arc<Guard>,
    ) -> Self {
        let pending = Arc::new(Pending::default());
        let reader = tokio::spawn(read_answers(inbox, pending.clone(), outbox.clone()));
        Self(Arc::new(Shared {
            version,
            outbox,
            pending,
            next_id: AtomicU64::new(1),
            in_flight_max: config.calls_in_flight_max.max(1),
            call_timeout: config.call_timeout(),
            module_timeout: config.module_timeout(),
            reader: reader.abort_handle(),
            _guard: guard,
        }))
    }

    /// Returns the protocol version on which both sides have agreed.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.0.version
    }

    /// Returns whether calls can still be answered.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.pending.0.lock().ended.is_none()
    }

    /// Reads rows at the leader. With [`Consistency::Replica`] a relay in between may answer, as of what it has
    /// applied.
    ///
    /// # Errors
    /// The leader's error, or [`ReadError::LeaderUnavailable`], [`ReadError::Overloaded`].
    pub async fn read(&self, reads: Vec<ViewRead>, consistency: Consistency) -> Result<LeaderRows, ReadError> {
        let wanted = reads.clone();
        match self.call(Call::Read { reads, consistency }, self.0.call_timeout).await? {
            Answer::Read(Ok(read)) => Ok(leader_rows(read, &wanted)?),
            Answer::Read(Err(error)) => Err(error),
            other => Err(rejection(&other).into()),
        }
    }

    /// Reads rows from a majority of the regions' leaders, including the called one, which waits for the others up to
    /// `wait_max`. The answer lists the regions that answered.
    ///
    /// # Errors
    /// [`ReadError::QuorumNotReached`], and those of [`CallClient::read`].
    pub async fn quorum(
        &self,
        reads: Vec<ViewRead>,
        wait_max: Duration,
    ) -> Result<(LeaderRows, Vec<Region>), ReadError> {
        let wanted = reads.clone();
        let wait_ms = u32::try_from(wait_max.as_millis()).unwrap_or(u32::MAX);
        match self.call(Call::Quorum { reads, wait_ms }, self.0.call_timeout + wait_max).await? {
            Answer::Quorum(Ok(read)) => Ok((leader_rows(read.rows, &wanted)?, read.regions)),
            Answer::Quorum(Err(error)) => Err(error),
            other => Err(rejection(&other).into()),
        }
    }

    /// Reads rows and tombstones as the called leader holds them.
    ///
    /// # Errors
    /// As [`CallClient::read`].
    pub async fn held(&self, reads: Vec<ViewRead>) -> Result<LeaderRows, ReadError> {
        let wanted = reads.clone();
        match self.call(Call::Held { reads }, self.0.call_timeout).await? {
            Answer::Read(Ok(read)) => Ok(leader_rows(read, &wanted)?),
            Answer::Read(Err(error)) => Err(error),
            other => Err(rejection(&other).into()),
        }
    }

    /// Writes rows. If the outcome is unknown, retry with the same idempotency key.
    ///
    /// # Errors
    /// The leader's error, or [`WriteError::LeaderUnavailable`], [`WriteError::Overloaded`].
    pub async fn write(&self, request: WriteRequest) -> Result<WriteReceipt, WriteError> {
        let timeout = self.0.call_timeout + Duration::from_millis(u64::from(request.concern_wait_ms));
        match self.forward(Call::Write(request), timeout).await? {
            Answer::Receipt(receipt) => receipt,
            other => Err(rejection(&other).into()),
        }
    }

    /// Changes the catalogue.
    ///
    /// # Errors
    /// As [`CallClient::write`].
    pub async fn change(&self, change: CatalogueChange) -> Result<WriteReceipt, WriteError> {
        match self.forward(Call::Change(change), self.0.call_timeout).await? {
            Answer::Receipt(receipt) => receipt,
            other => Err(rejection(&other).into()),
        }
    }

    /// Uploads a module.
    ///
    /// # Errors
    /// As [`CallClient::write`].
    pub async fn put_module(&self, name: String, version: String, component: Bytes) -> Result<ModulePut, WriteError> {
        match self.forward(Call::PutModule { name, version, component }, self.0.module_timeout).await? {
            Answer::Module(put) => put,
            other => Err(rejection(&other).into()),
        }
    }

    /// Downloads a module's component; `None` if the leader does not have it. The bytes are checked against the digest.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn fetch_module(&self, digest: ModuleDigest) -> Result<Option<Bytes>, CallError> {
        match self.call(Call::FetchModule { digest }, self.0.module_timeout).await? {
            Answer::Component(Some(component)) if ModuleDigest::of(&component) != digest => {
                Err(CallError::Rejected(format!("it sent a component that is not module {digest}")))
            }
            Answer::Component(component) => Ok(component),
            other => Err(rejection(&other)),
        }
    }

    /// Returns the leader's state.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn status(&self) -> Result<NodeStatus, CallError> {
        match self.call(Call::Status, self.0.call_timeout).await? {
            Answer::Status(status) => Ok(status),
            other => Err(rejection(&other)),
        }
    }

    /// Makes the leader take a checkpoint. Returns its record; the checkpoint arrives with the feed.
    ///
    /// # Errors
    /// The leader's error, or [`ReadError::LeaderUnavailable`], [`ReadError::Overloaded`].
    pub async fn checkpoint(&self) -> Result<Lsn, ReadError> {
        match self.call(Call::Checkpoint, self.0.call_timeout).await? {
            Answer::Checkpoint(lsn) => lsn,
            other => Err(rejection(&other).into()),
        }
    }

    /// Returns rows and tombstones of a bucket after the key `after`, by key: as many as the leader sends at once.
    ///
    /// # Errors
    /// As [`CallClient::checkpoint`].
    pub async fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> Result<BucketRows, ReadError> {
        let begins_behind = after.clone();
        match self.call(Call::Bucket { view, bucket, after }, self.0.call_timeout).await? {
            Answer::Bucket(Ok(read)) => Ok(bucket_rows(read, view, bucket, begins_behind.as_deref())?),
            Answer::Bucket(Err(error)) => Err(error),
            other => Err(rejection(&other).into()),
        }
    }

    /// Merges rows and deletions that the leader's log has lost back into it.
    ///
    /// # Errors
    /// As [`CallClient::write`], and [`WriteError::UnknownView`].
    pub async fn merge(&self, piece: TailPiece) -> Result<WriteReceipt, WriteError> {
        match self.forward(Call::Merge(piece), self.0.call_timeout).await? {
            Answer::Receipt(receipt) => receipt,
            other => Err(rejection(&other).into()),
        }
    }

    /// Sends a request to another member of the region.
    ///
    /// # Errors
    /// The member's rejection, or why the call has no reply.
    pub async fn member(&self, request: rpc::Request) -> Result<Result<Reply, Rejection>, CallError> {
        let waits = if let rpc::Request::Fetch { wait_ms, .. } = &request { *wait_ms } else { 0 };
        let timeout = self.0.call_timeout + Duration::from_millis(u64::from(waits));
        match self.call(Call::Member(request), timeout).await? {
            Answer::Member(told) => Ok(told),
            other => Err(rejection(&other)),
        }
    }

    /// Sends a request for a certificate to a node that signs it or forwards it.
    ///
    /// # Errors
    /// Why it was rejected, or why the call got no answer.
    pub async fn certify(&self, request: Bytes) -> Result<Result<Bytes, String>, CallError> {
        match self.call(Call::Certify(request), self.0.call_timeout).await? {
            Answer::Certified(reply) => Ok(reply),
            other => Err(rejection(&other)),
        }
    }

    /// Calls on behalf of the client whose request this task answers: the leader authenticates that client again.
    async fn forward(&self, call: Call, timeout: Duration) -> Result<Answer, CallError> {
        let caller = littoral_runtime::caller::current().filter(|caller| caller.credential.is_some());
        self.send(call, caller, timeout).await
    }

    async fn call(&self, call: Call, timeout: Duration) -> Result<Answer, CallError> {
        self.send(call, None, timeout).await
    }

    async fn send(&self, call: Call, caller: Option<Caller>, timeout: Duration) -> Result<Answer, CallError> {
        let mut span = Span::child(call.name(), Kind::Client);
        // A leader of the previous release cannot read it.
        let context = span.context().filter(|_| self.0.version.number() >= CONTEXT_SINCE);
        let answer = self.send_within(call, (caller, context), timeout).await;
        if let Err(error) = &answer {
            span.failed(error.kind());
        }
        answer
    }

    async fn send_within(
        &self,
        call: Call,
        (caller, context): (Option<Caller>, Option<TraceContext>),
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let shared = &*self.0;
        let deadline = Instant::now() + timeout;
        let timed_out = || CallError::Timeout(timeout.as_millis() as u64);
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        // Dropped with this future, so that an abandoned call leaves nothing behind.
        let _entry = shared.pending.enter(id, sender, shared.in_flight_max)?;
        let request = Request { id, call, caller, context };
        shared.outbox.push(timeout, |out| call::push_request(out, &request)).await.map_err(|error| match error {
            PushError::Closed => CallError::Disconnected(shared.pending.reason()),
            PushError::Full { .. } => timed_out(),
            PushError::Wire(error) => CallError::TooLarge(error.to_string()),
        })?;
        drop(request);
        match tokio::time::timeout_at(deadline, receiver).await {
            Err(_) => Err(timed_out()),
            Ok(Err(_)) => Err(CallError::Disconnected(shared.pending.reason())),
            Ok(Ok(payload)) => {
                call::reply(&payload).map(|reply| reply.answer).map_err(|error| CallError::Rejected(error.to_string()))
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.outbox.finish();
        self.reader.abort();
    }
}

// === impl Pending ===

/// A waiting call's entry.
struct Entry<'a> {
    pending: &'a Pending,
    id: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.pending.0.lock().calls.remove(&self.id);
    }
}

impl Pending {
    fn enter(&self, id: u64, sender: oneshot::Sender<Bytes>, max: usize) -> Result<Entry<'_>, CallError> {
        let mut waiting = self.0.lock();
        if let Some(reason) = &waiting.ended {
            return Err(CallError::Disconnected(reason.clone()));
        }
        if waiting.calls.len() >= max {
            return Err(CallError::Overloaded(max));
        }
        waiting.calls.insert(id, sender);
        Ok(Entry { pending: self, id })
    }

    /// Passes a reply to its call. Drops it if the call was abandoned.
    fn answer(&self, id: u64, payload: Bytes) {
        let sender = self.0.lock().calls.remove(&id);
        if let Some(sender) = sender {
            // The caller may have stopped waiting just now.
            let _ = sender.send(payload);
        }
    }

    fn end(&self, reason: String) {
        let calls = {
            let mut waiting = self.0.lock();
            waiting.ended.get_or_insert(reason);
            std::mem::take(&mut waiting.calls)
        };
        // Dropping the senders notifies the callers.
        drop(calls);
    }

    fn reason(&self) -> String {
        self.0.lock().ended.clone().unwrap_or_else(|| "the stream of calls was closed".to_owned())
    }
}

/// Passes replies to their callers until the stream ends, then notifies the remaining callers.
async fn read_answers(mut inbox: Inbox, pending: Arc<Pending>, outbox: Outbox) {
    let reason = loop {
        let payload = match inbox.next().await {
            Ok(Some(payload)) => payload,
            Ok(None) => break "the leader closed the stream of calls".to_owned(),
            Err(error) => break error.to_string(),
        };
        // A busy stream always has a next reply, but other tasks must run too.
        tokio::task::coop::consume_budget().await;
        match call::reply_id(&payload) {
            Ok(id) => pending.answer(id, payload),
            Err(error) => break error.to_string(),
        }
    };
    pending.end(reason);
    outbox.abort();
}

/// Decodes the rows of a reply. It has an entry for each key that was requested, and rows of these keys only.
fn leader_rows(read: RowsRead, wanted: &[ViewRead]) -> Result<LeaderRows, CallError> {
    let rejected = |why: &str| Err(CallError::Rejected(format!("its reply has {why}")));
    let malformed = |error: littoral_wire::Error| CallError::Rejected(error.to_string());
    if !read.counts.iter().copied().eq(wanted.iter().map(|wanted| wanted.keys.len() as u32)) {
        return rejected("another number of rows than the keys requested");
    }
    let mut encoded = rows::iter(&read.bytes);
    let mut all = Vec::with_capacity(wanted.len());
    for ViewRead { view, keys } in wanted {
        let mut of_view = Vec::with_capacity(keys.len());
        for key in keys.iter() {
            let Some(row) = encoded.next() else { return rejected("fewer rows than the keys requested") };
            let row = row.map_err(malformed)?;
            if row.as_ref().is_some_and(|row| row.view != *view || row.key != key) {
                return rejected("a row of another view or key than the one requested");
            }
            of_view.push(row.map(|row| row.to_row()));
        }
        all.push(of_view);
    }
    match encoded.next() {
        None => Ok(LeaderRows { as_of: read.as_of, watermark: read.watermark, rows: all }),
        Some(_) => rejected("more rows than the keys requested"),
    }
}

/// Decodes the rows of a bucket. They must be in order, belong to the bucket, and follow the key.
fn bucket_rows(read: BucketRead, view: ViewId, bucket: u8, after: Option<&[u8]>) -> Result<BucketRows, CallError> {
    let mut rows: Vec<Row> = Vec::new();
    for row in rows::iter(&read.bytes) {
        let row = row.map_err(|error| CallError::Rejected(error.to_string()))?;
        let row = row.ok_or_else(|| CallError::Rejected("its reply has an empty row".to_owned()))?.to_row();
        let before = rows.last().map(Row::key).or(after);
        if row.header().view != view || bucket_of(row.key()) != bucket || before.is_some_and(|key| row.key() <= key) {
            return Err(CallError::Rejected("its reply has rows of another bucket, or in the wrong order".to_owned()));
        }
        rows.push(row);
    }
    if read.more && rows.is_empty() {
        return Err(CallError::Rejected("its reply is empty but states that more rows follow".to_owned()));
    }
    Ok(BucketRows { as_of: read.as_of, rows, more: read.more })
}

fn rejection(answer: &Answer) -> CallError {
    CallError::Rejected(match answer {
        Answer::Rejected(reason) => reason.clone(),
        _ => "its reply belongs to another kind of call".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        entity_key::KeyBatch, event_time::EventTime, hlc::Hlc, position::Position, row::RowMeta, token::Watermark,
        version::Version,
    };

    /// Decodes a reply with these rows, each with a view and a key, to a read of the keys `a` and `b` of view 1.
    fn read(rows: &[Option<(u32, &str)>]) -> Result<usize, String> {
        let mut bytes = Vec::new();
        for row in rows {
            let row = row.map(|(view, key)| {
                let version = Version { hlc: Hlc(1), region: "eu".parse().expect("a region") };
                let event_time = EventTime(1);
                let meta = RowMeta { view: ViewId(view), event_time, version, lsn: Lsn(1) };
                Row::new(meta, key.as_bytes(), Some(b"body"))
            });
            rows::push(&mut bytes, row.as_ref()).expect("a small row");
        }
        let (as_of, watermark) = (Position::default(), Watermark::default());
        let reply = RowsRead { as_of, watermark, counts: vec![2], bytes: bytes.into() };
        let mut keys = KeyBatch::default();
        ["a", "b"].into_iter().for_each(|key| keys.push(key.as_bytes()));
        let read = leader_rows(reply, &[ViewRead { view: ViewId(1), keys }]);
        read.map(|read| read.rows[0].iter().flatten().count()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_reply_has_only_rows_of_the_views_and_keys_that_were_requested() {
        assert_eq!(read(&[Some((1, "a")), Some((1, "b"))]), Ok(2));
        assert_eq!(read(&[None, Some((1, "b"))]), Ok(1));
        for (rows, reason) in [
            (&[Some((3, "a")), None][..], "a row of another view or key"),
            (&[Some((1, "b")), Some((1, "a"))], "a row of another view or key"),
            (&[Some((1, "a"))], "fewer rows"),
            (&[None, None, None], "more rows"),
        ] {
            let rejected = read(rows).expect_err(reason);
            assert!(rejected.contains(reason), "{rejected}");
        }
    }
}
