//! One subscriber's session: hello, a snapshot if needed, the tail, heartbeats.
//!
//! Three loops run concurrently in one task: they receive the subscriber's messages, send the snapshot and records, and
//! send heartbeats. They share the outbox, which is bounded, and the protocol's session, which makes the decisions.

use super::{Shared, activity::OpenStream, policy::Peer, residency, snapshot::Blocks};
use crate::source::{FeedSource, SourceRole};
use crate::{
    inbox::{Inbox, InboxError},
    outbox::{Outbox, PushError},
};
use littoral_model::{
    catalogue::Catalogue,
    digest::Checkpoint,
    hlc::Hlc,
    ports::{FeedReadError, RecordBlock},
    position::{Lsn, Position},
    project::Receiver,
    record::ChainHash,
    region::Region,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Mode, Resume, SubscriberHello, Upstream, Views},
    publisher::{self, Publisher, Refusal},
};
use littoral_wire::{Outgoing, feed, records, records::ViewFilter};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The longest name of a subscriber, in bytes.
const NAME_LEN_MAX: usize = 128;

/// Counts the sessions of this process.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The subscriber has left.
    Left,
    /// The publisher ends it and sends the reason.
    Rejected(ErrorCode, String),
    /// The publisher ends it without a message, because the subscriber does not read.
    Disconnected(ErrorCode, String),
}

struct Session<'a> {
    /// The number of the session in this process.
    number: u64,
    shared: &'a Shared,
    outbox: &'a Outbox,
    state: Mutex<publisher::Session>,
    /// Notified when a ping waits for its echo.
    pinged: Notify,
    /// The region that the subscriber leads, if it replicates this log's records into its own log.
    for_region: Option<Region>,
}

/// Runs a session until it ends.
pub(crate) async fn run(mut inbox: Inbox, outbox: Outbox, shared: Shared, from: Peer, stream: OpenStream) {
    let peer = &*from.address;
    metrics::gauge!("littoral_feed_subscribers").increment(1.0);
    let mut name = String::new();
    let end = tokio::select! {
        biased;
        () = outbox.closed() => End::Left,
        () = shared.shutdown.cancelled() => End::Rejected(ErrorCode::Shutdown, "this node is shutting down".to_owned()),
        end = session(&mut inbox, &outbox, &shared, &from, &mut name) => end,
    };
    match end {
        End::Left => {
            tracing::info!(%peer, subscriber = %name, "a subscriber has left");
            outbox.finish();
        }
        End::Rejected(code, message) => {
            report(peer, &name, code, &message);
            let error = Downstream::Error { code, message };
            outbox.push_last(|out| feed::push_downstream(out, &error));
        }
        End::Disconnected(code, message) => {
            report(peer, &name, code, &message);
            stream.cut_connection();
        }
    }
    metrics::gauge!("littoral_feed_subscribers").decrement(1.0);
}

fn report(peer: &str, name: &str, code: ErrorCode, message: &str) {
    metrics::counter!("littoral_feed_ended_total", "reason" => format!("{code:?}")).increment(1);
    tracing::warn!(%peer, subscriber = %name, ?code, message, "ending a subscriber's session");
}

async fn session(inbox: &mut Inbox, outbox: &Outbox, shared: &Shared, from: &Peer, name: &mut String) -> End {
    let hello = match hello(inbox, shared).await {
        Ok(hello) => hello,
        Err(end) => return end,
    };
    if hello.subscriber.len() > NAME_LEN_MAX {
        return End::Rejected(
            ErrorCode::Protocol,
            format!("the subscriber's name is too long; at most {NAME_LEN_MAX} bytes are allowed"),
        );
    }
    if hello.subscriber.chars().any(char::is_control) {
        let shown = hello.subscriber.escape_default();
        return End::Rejected(
            ErrorCode::Protocol,
            format!("the subscriber's name '{shown}' has control characters, which are not allowed"),
        );
    }
    if let Err(reason) = from.rights.may_follow(&hello.views) {
        return End::Rejected(ErrorCode::Protocol, reason);
    }
    name.clone_from(&hello.subscriber);
    let receiver = residency::receiver(from.region, &hello.views);
    let (mode, state, filter) = match greet(&hello, receiver, outbox, shared).await {
        Ok(greeted) => greeted,
        Err(end) => return end,
    };
    let for_region = match hello.views {
        Views::ForRegion(region) => Some(region),
        Views::All | Views::Names(_) => None,
    };
    let resumed = state.applied();
    let (state, pinged) = (Mutex::new(state), Notify::new());
    let number = SESSIONS.fetch_add(1, Relaxed);
    let session = Session { number, shared, outbox, state, pinged, for_region };
    // A subscriber that resumes may still lack modules, so the position at which it resumes does not count as served.
    // It reports what it serves once it has received further records.
    session.note_applied(if for_region.is_some() { resumed } else { Lsn::NONE });
    let (resume, views) = (&hello.resume, &hello.views);
    tracing::info!(subscriber = %name, ?mode, ?resume, ?views, ?receiver, "a subscriber has joined");
    let ended = tokio::select! {
        ended = session.listen(inbox) => ended,
        ended = session.publish(mode, filter) => ended,
        ended = session.heartbeats() => ended,
    };
    match ended {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// Receives the subscriber's first message.
async fn hello(inbox: &mut Inbox, shared: &Shared) -> Result<SubscriberHello, End> {
    match next(inbox, shared.config.hello_timeout()).await? {
        Upstream::Hello(hello) => Ok(hello),
        other => {
            Err(End::Rejected(ErrorCode::Protocol, format!("the first message must be a hello, but is {other:?}")))
        }
    }
}

/// Receives the subscriber's next message.
async fn next(inbox: &mut Inbox, wait_max: Duration) -> Result<Upstream, End> {
    let Ok(received) = timeout(wait_max, inbox.next()).await else {
        let message = format!("the subscriber was silent for {} ms", wait_max.as_millis());
        return Err(End::Rejected(ErrorCode::Slow, message));
    };
    match received {
        Ok(Some(payload)) => feed::upstream(&payload).map_err(protocol_error),
        Ok(None) | Err(InboxError::Broken(_)) => Err(End::Left),
        Err(InboxError::Wire(error)) => Err(protocol_error(error)),
    }
}

fn protocol_error(error: littoral_wire::Error) -> End {
    End::Rejected(ErrorCode::Protocol, error.to_string())
}

fn log_error(error: impl ToString) -> End {
    End::Rejected(ErrorCode::Log, error.to_string())
}

fn rejected(refusal: Refusal) -> End {
    let code = match refusal {
        Refusal::Version { .. } => ErrorCode::Version,
        Refusal::Behind { .. } | Refusal::RolledBack { .. } => ErrorCode::Behind,
        Refusal::SecondHello | Refusal::PingOrder { .. } | Refusal::Applied { .. } => ErrorCode::Protocol,
    };
    End::Rejected(code, refusal.to_string())
}

/// Answers the hello: decides how the subscriber is brought up to date.
async fn greet(
    hello: &SubscriberHello,
    receiver: Receiver,
    outbox: &Outbox,
    shared: &Shared,
) -> Result<(Mode, publisher::Session, ViewFilter), End> {
    let source = &*shared.source;
    if source.source_role() == SourceRole::Follower {
        return Err(rejected_by_follower());
    }
    // Read the generation first: a replacement from now on ends the stream.
    let generation = source.generation();
    let catalogue = source.applied_catalogue().ok_or_else(no_data)?;
    let mut filter = ViewFilter::new(&hello.views, &catalogue, source.region()).receiver(receiver);
    filter.update(&catalogue);
    check_holds(source, &catalogue, &filter)?;
    let publisher = Publisher {
        generation,
        region: source.region(),
        epoch: source.epoch(),
        head: *source.head().borrow(),
        watermark: source.watermark(),
        lives: source.lives(),
        belongs: source.belongs(),
        heartbeat_ms: shared.config.heartbeat_ms,
        relay: source.source_role() != SourceRole::Leader,
    };
    if publisher.head == Position::default() {
        return Err(no_data());
    }
    let same_log = publisher.is_same_log(hello);
    // The tail may continue after the subscriber's position, or after the record at which its copy of this log forked
    // from this one.
    let mut chains = Vec::new();
    if same_log {
        let (stands, fork) = (hello.resume.map(|resume| resume.position.lsn), publisher.fork(hello));
        for lsn in stands.into_iter().chain(fork.map(|fork| fork.lsn)).filter(|lsn| *lsn <= publisher.head.lsn) {
            chains.push((lsn, chain_before_tail(source, lsn, publisher.head.lsn).await?));
        }
    }
    let chain_at = |lsn| chains.iter().find(|(of, _)| *of == lsn).and_then(|(_, chain)| *chain);
    let rehomed = match hello.resume {
        // Rows that the log of the subscriber may not hold are in no record after its position here.
        Some(_) if residency::lacks_rows(&catalogue, &filter, hello) => None,
        Some(_) if !same_log => rehomed(source, hello, publisher.head).await?,
        _ => None,
    };
    let greeted = publisher.greet(hello, chain_at, rehomed);
    if matches!(greeted, Err(Refusal::RolledBack { .. })) {
        source.shown_ahead();
    }
    let (mut answer, state) = greeted.map_err(rejected)?;
    answer.configured = source.configured();
    if let (Views::ForRegion(region), Some(_)) = (&hello.views, answer.forked) {
        // Wait for this before answering: the subscriber's request for lost records must be durable here first.
        source.lost_to(*region).await.map_err(|error| End::Rejected(ErrorCode::Behind, error.to_string()))?;
    }
    let mode = answer.mode;
    let push = |out: &mut Outgoing| feed::push_downstream(out, &Downstream::Hello(answer));
    push_or_cut(outbox, shared.config.slow_timeout(), push).await?;
    Ok((mode, state, filter))
}

/// Checks that this node may hold all rows that the subscriber requests and may hold.
fn check_holds(source: &dyn FeedSource, catalogue: &Catalogue, filter: &ViewFilter) -> Result<(), End> {
    if source.source_role() == SourceRole::Leader {
        return Ok(());
    }
    let Some(view) = residency::lacking(catalogue, source.held_in(), filter) else { return Ok(()) };
    let message = format!(
        "this relay may not hold rows of view '{}', which the subscriber may hold; subscribe to the leader, or to a \
         relay whose [edge] region the view's project allows",
        view.name
    );
    Err(End::Rejected(ErrorCode::Behind, message))
}

/// Rejects a subscriber, because this relay has no replica.
fn no_data() -> End {
    let message = "this relay has no data yet; retry shortly, or use another publisher";
    End::Rejected(ErrorCode::Behind, message.to_owned())
}

/// Rejects a subscriber, because this member is a follower: edges and other regions follow only the leader.
fn rejected_by_follower() -> End {
    End::Rejected(
        ErrorCode::Behind,
        "this node is a follower in its region; subscribe to the region's leader".to_owned(),
    )
}

/// Returns the record after which a replica of another region's log can continue here.
async fn rehomed(source: &dyn FeedSource, hello: &SubscriberHello, head: Position) -> Result<Option<Resume>, End> {
    let point = source.resume_point(&hello.watermark, &hello.lives);
    let Some(lsn) = point.filter(|lsn| *lsn <= head.lsn) else { return Ok(None) };
    let chain = chain_before_tail(source, lsn, head.lsn).await?;
    let position = source.lives().get(source.region()).map_or(Position { lsn, ..head }, |lives| lives.position(lsn));
    Ok(chain.map(|chain| Resume { position, chain }))
}

/// Returns the hash of the record at `lsn` if the log can continue after it; `None` if the next record was trimmed.
async fn chain_before_tail(source: &dyn FeedSource, lsn: Lsn, head: Lsn) -> Result<Option<ChainHash>, End> {
    let chain = if lsn == Lsn::NONE { Some(ChainHash::GENESIS) } else { source.chain_at(lsn) };
    if lsn >= head || chain.is_none() {
        return Ok(chain);
    }
    match source.records(lsn.next(), 1).await {
        Ok(_) => Ok(chain),
        Err(FeedReadError::Trimmed { .. }) => Ok(None),
        Err(error @ (FeedReadError::Io(_) | FeedReadError::NotHeld(_))) => Err(log_error(error)),
    }
}

/// Restricts a checkpoint to the views that the subscriber replicates.
fn wanted_views(checkpoint: Arc<Checkpoint>, filter: &ViewFilter) -> Arc<Checkpoint> {
    if checkpoint.views.iter().all(|view| filter.wants(view.view)) {
        return checkpoint;
    }
    let views = checkpoint.views.iter().filter(|view| filter.wants(view.view)).cloned().collect();
    Arc::new(Checkpoint { views, ..*checkpoint })
}

/// The result of loops that end only with an [`End`].
enum Never {}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.for_region.is_none() {
            self.source().serves_through(self.number, None);
        }
    }
}

impl Session<'_> {
    fn source(&self) -> &dyn FeedSource {
        &*self.shared.source
    }

    /// Processes the subscriber's messages.
    async fn listen(&self, inbox: &mut Inbox) -> Result<Never, End> {
        loop {
            let message = next(inbox, self.shared.config.idle_timeout()).await?;
            let (owes_echo, applied) = {
                let mut state = self.state.lock();
                state.receive(&message).map_err(rejected)?;
                (state.owes_echo(), state.applied())
            };
            if owes_echo {
                self.pinged.notify_one();
            }
            if matches!(message, Upstream::Applied { .. }) {
                self.note_applied(applied);
            }
        }
    }

    /// Notes that the subscriber has applied everything up to here.
    fn note_applied(&self, applied: Lsn) {
        if let Some(region) = self.for_region {
            let incarnation = self.state.lock().life();
            self.source().taken_by(region, Position { incarnation, lsn: applied });
        } else {
            self.source().serves_through(self.number, Some(applied));
        }
    }

    /// Sends a heartbeat when a ping arrives, and when none was sent for the configured interval.
    async fn heartbeats(&self) -> Result<Never, End> {
        let heartbeat = self.shared.config.heartbeat();
        loop {
            // A timeout is as good a reason as a ping.
            let _ = timeout(heartbeat, self.pinged.notified()).await;
            metrics::gauge!("littoral_feed_waiting_bytes").set(self.shared.waiting_bytes() as f64);
            // Take the echo before reading the role: a node that is still the leader after the ping arrived was the
            // leader when the ping was sent, and no other node has acknowledged anything in between.
            let echo = self.state.lock().echo();
            let (behind, leader_lost) = match self.source().source_role() {
                SourceRole::Leader => (Some(Duration::ZERO), false),
                SourceRole::Relay { behind, leader_lost } => (behind, leader_lost),
                SourceRole::Follower => return Err(rejected_by_follower()),
            };
            // Also take it before reading the head, so that the head is at least what it was when the ping arrived.
            let head = self.source().acknowledged();
            self.push(|out| {
                // Rounded up, so that it is never less than the true value.
                let behind_us = behind.map(|behind| behind.as_nanos().div_ceil(1_000) as u64);
                feed::push_downstream(
                    out,
                    &Downstream::Heartbeat { clock: clock(), head, echo, behind_us, leader_lost },
                )
            })
            .await?;
        }
    }

    /// Sends the snapshot if there is one, then records as they are committed.
    async fn publish(&self, mode: Mode, mut filter: ViewFilter) -> Result<Never, End> {
        let mut head = self.source().head();
        let mut checkpoints = self.source().checkpoints();
        let mut compared = 0;
        if mode == Mode::Snapshot {
            self.snapshot(&mut filter).await?;
        }
        loop {
            let seen = *head.borrow_and_update();
            self.check(seen)?;
            let sent = self.state.lock().sent();
            let due = checkpoints.borrow_and_update().due(compared, sent);
            if let Some((number, checkpoint)) = due
                && checkpoint.lsn == sent
            {
                compared = number;
                self.update(&mut filter, seen)?;
                self.checkpoint(checkpoint, &filter).await?;
                continue;
            }
            let Some(next) = self.state.lock().next(seen.lsn) else {
                tokio::select! {
                    changed = head.changed() => {
                        changed.map_err(|_| End::Rejected(ErrorCode::Shutdown, "this node is shutting down".to_owned()))?;
                    }
                    // A source without checkpoints has dropped the sender. `changed` then fails, which disables this
                    // branch.
                    Ok(()) = checkpoints.changed() => {}
                }
                continue;
            };
            // Wait before reading records, so that a subscriber that does not read holds no further block in memory.
            self.room().await?;
            let seen = *head.borrow();
            self.check(seen)?;
            let block = match self.source().records(next, self.shared.config.records_bytes).await {
                Ok(block) => block,
                Err(error @ FeedReadError::Trimmed { .. }) => {
                    let message = format!("{error} while the subscriber lagged behind; reconnect for a snapshot");
                    return Err(End::Rejected(ErrorCode::Slow, message));
                }
                Err(error @ (FeedReadError::Io(_) | FeedReadError::NotHeld(_))) => return Err(log_error(error)),
            };
            // A checkpoint is published before the head passes its record, so none within this block is missed.
            let block = match checkpoints.borrow().due(compared, next) {
                Some((_, checkpoint)) if block.first == next && checkpoint.lsn < block.last => RecordBlock {
                    bytes: records::through(&block.bytes, block.first, checkpoint.lsn).map_err(log_error)?,
                    last: checkpoint.lsn,
                    ..block
                },
                _ => block,
            };
            // A record past the checked head may begin a life of the log, and the subscriber would attribute it to the
            // life before.
            let block = match block.last > seen.lsn && block.first <= seen.lsn {
                true => RecordBlock {
                    bytes: records::through(&block.bytes, block.first, seen.lsn).map_err(log_error)?,
                    last: seen.lsn,
                    ..block
                },
                false => block,
            };
            let chain = records::last_chain(&block.bytes).map_err(log_error)?;
            let (Some(chain_after), true) = (chain, block.first == next && block.last >= next) else {
                let (first, last) = (block.first, block.last);
                return Err(log_error(format!(
                    "the log returned records {first} to {last}, but {next} must come next"
                )));
            };
            // After the records were read: the catalogue is at least as new as they are.
            self.update(&mut filter, seen)?;
            let bytes = filter.apply(&block.bytes).map_err(log_error)?;
            metrics::counter!("littoral_feed_record_bytes_total").increment(bytes.len() as u64);
            // Note this before the records are sent, because the subscriber may apply them before this task continues.
            self.state.lock().records_sent(block.last);
            self.send(&Downstream::Records { first: block.first, last: block.last, chain_after, bytes }).await?;
        }
    }

    /// Updates the filter to the rules as of the last record that is applied.
    fn update(&self, filter: &mut ViewFilter, head: Position) -> Result<(), End> {
        let catalogue = self.source().applied_catalogue().ok_or_else(no_data)?;
        // Then the catalogue is of the log whose records were read before. Another log has other view IDs.
        self.check(head)?;
        self.adopt(filter, &catalogue)
    }

    /// Sets the filter's catalogue. If it has a view whose rows this relay may not hold and the subscriber may, the
    /// stream ends before the subscriber receives the record that creates the view. So another publisher sends it
    /// everything after that record.
    fn adopt(&self, filter: &mut ViewFilter, catalogue: &Arc<Catalogue>) -> Result<(), End> {
        if filter.update(catalogue) { check_holds(self.source(), catalogue, filter) } else { Ok(()) }
    }

    /// Checks whether the stream may continue.
    fn check(&self, head: Position) -> Result<(), End> {
        if self.state.lock().continues(head, self.source().generation()) {
            return Ok(());
        }
        Err(log_error("the records that this node serves were replaced; reconnect"))
    }

    /// Sends a snapshot.
    async fn snapshot(&self, filter: &mut ViewFilter) -> Result<(), End> {
        let source = self.source().snapshot().map_err(|error| End::Rejected(ErrorCode::Behind, error.to_string()))?;
        let as_of = source.as_of;
        self.adopt(filter, &source.catalogue)?;
        let catalogue = self.shared.common.catalogue(&source.catalogue).map_err(log_error)?;
        let begin = Downstream::SnapshotBegin {
            as_of,
            chain: source.chain,
            watermark: source.watermark,
            lives: source.lives,
            mixed: source.mixed,
            catalogue: source.catalogue,
            rows_estimate: source.rows_estimate,
        };
        self.push(|out| feed::push_snapshot_begin(out, &begin, &catalogue)).await?;
        drop((begin, catalogue));
        let (bytes, makers) = (self.shared.config.snapshot_bytes, self.shared.makers.clone());
        let mut blocks = Blocks::new(source.chunks, filter.clone(), bytes, makers);
        let mut rows = 0;
        loop {
            self.room().await?;
            let Some(block) = blocks.next().await else { break };
            let block = block.map_err(log_error)?;
            rows += u64::from(block.rows);
            self.send(&Downstream::SnapshotRows { rows: block.rows, bytes: block.bytes }).await?;
        }
        // If the replica was replaced in the meantime, its rows may belong to an abandoned history.
        self.check(*self.source().head().borrow())?;
        self.state.lock().snapshot_sent(as_of.lsn);
        self.send(&Downstream::SnapshotEnd { rows }).await?;
        metrics::counter!("littoral_feed_snapshots_total").increment(1);
        Ok(())
    }

    /// Sends a checkpoint. Subscribers of all views receive the shared encoding.
    async fn checkpoint(&self, checkpoint: Arc<Checkpoint>, filter: &ViewFilter) -> Result<(), End> {
        let wanted = wanted_views(checkpoint.clone(), filter);
        if !Arc::ptr_eq(&wanted, &checkpoint) {
            return self.send(&Downstream::Checkpoint(wanted)).await;
        }
        let bytes = self.shared.common.checkpoint(&checkpoint).map_err(log_error)?;
        self.push(|out| feed::push_checkpoint(out, &bytes)).await
    }

    /// Waits until the next frame fits.
    async fn room(&self) -> Result<(), End> {
        self.outbox.ready(self.shared.config.slow_timeout()).await.map_err(not_pushed)
    }

    async fn send(&self, message: &Downstream) -> Result<(), End> {
        self.push(|out| feed::push_downstream(out, message)).await
    }

    async fn push(&self, push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>) -> Result<(), End> {
        push_or_cut(self.outbox, self.shared.config.slow_timeout(), push).await
    }
}

async fn push_or_cut(
    outbox: &Outbox,
    slow_timeout: Duration,
    push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>,
) -> Result<(), End> {
    outbox.push(slow_timeout, push).await.map_err(not_pushed)
}

fn not_pushed(error: PushError) -> End {
    match error {
        PushError::Closed => End::Left,
        PushError::Full { .. } => End::Disconnected(ErrorCode::Slow, error.to_string()),
        PushError::Wire(error) => log_error(error),
    }
}

/// Returns the publisher's clock, for display: staleness is measured without it.
fn clock() -> Hlc {
    Hlc::new(littoral_runtime::clock::wall_ms(), 0)
}
