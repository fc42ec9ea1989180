//! One subscriber's session: hello, snapshot or not, tail, heartbeats.
//!
//! Three loops run side by side in one task: what the subscriber sends, what it is sent, and heartbeats. They meet in
//! the outbox, which is bounded, and in [`Pings`].

use super::{Shared, activity::OpenStream, decide, snapshot};
use crate::{
    inbox::{Inbox, InboxError},
    outbox::{Outbox, PushError},
};
use littoral_model::{
    hlc::Hlc,
    ports::{FeedReadError, FeedSource},
    position::{Lsn, Position},
};
use littoral_protocol::frame::{Downstream, ErrorCode, Mode, PublisherHello, SubscriberHello, Upstream};
use littoral_wire::{feed, records, records::ViewFilter, version};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::Notify, time::timeout};

/// The longest name of a subscriber, in bytes.
const NAME_LEN_MAX: usize = 128;

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The subscriber has left.
    Left,
    /// We end it, and say why when the subscriber can still hear it.
    Told(ErrorCode, String),
    /// It does not hear any more.
    Cut(ErrorCode, String),
}

/// The newest ping, until a heartbeat has echoed it.
#[derive(Debug, Default)]
struct Pings {
    seq: AtomicU64,
    told: Notify,
}

struct Session<'a> {
    name: String,
    shared: &'a Shared,
    outbox: &'a Outbox,
    pings: Pings,
}

/// Runs a session to its end.
pub(crate) async fn run(mut inbox: Inbox, outbox: Outbox, shared: Shared, peer: Arc<str>, stream: OpenStream) {
    metrics::gauge!("littoral_feed_subscribers").increment(1.0);
    let mut name = String::new();
    let end = tokio::select! {
        biased;
        () = outbox.closed() => End::Left,
        () = shared.shutdown.cancelled() => End::Told(ErrorCode::Shutdown, "the leader stops".to_owned()),
        end = session(&mut inbox, &outbox, &shared, &mut name) => end,
    };
    match end {
        End::Left => tracing::info!(%peer, subscriber = %name, "subscriber left"),
        End::Told(code, message) => {
            report(&peer, &name, code, &message);
            let told = Downstream::Error { code, message };
            outbox.push_last(|out| feed::push_downstream(out, &told));
        }
        End::Cut(code, message) => {
            report(&peer, &name, code, &message);
            stream.cut_connection();
        }
    }
    metrics::gauge!("littoral_feed_subscribers").decrement(1.0);
}

fn report(peer: &str, name: &str, code: ErrorCode, message: &str) {
    metrics::counter!("littoral_feed_ended_total", "reason" => format!("{code:?}")).increment(1);
    tracing::warn!(%peer, subscriber = %name, ?code, message, "subscriber's session is ended");
}

async fn session(inbox: &mut Inbox, outbox: &Outbox, shared: &Shared, name: &mut String) -> End {
    let hello = match hello(inbox, shared).await {
        Ok(hello) => hello,
        Err(end) => return end,
    };
    if hello.subscriber.len() > NAME_LEN_MAX {
        return End::Told(ErrorCode::Protocol, format!("a subscriber's name has at most {NAME_LEN_MAX} bytes"));
    }
    name.clone_from(&hello.subscriber);
    let session = Session { name: name.clone(), shared, outbox, pings: Pings::default() };
    let (next, mode, filter) = match session.greet(&hello).await {
        Ok(start) => start,
        Err(end) => return end,
    };
    tracing::info!(subscriber = %name, ?mode, resume = ?hello.resume, views = ?hello.views, "subscriber joined");
    let ended = tokio::select! {
        ended = session.listen(inbox) => ended,
        ended = session.publish(next, mode, filter) => ended,
        ended = session.heartbeats() => ended,
    };
    match ended {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// The subscriber's first message.
async fn hello(inbox: &mut Inbox, shared: &Shared) -> Result<SubscriberHello, End> {
    match next(inbox, shared.config.hello_timeout()).await? {
        Upstream::Hello(hello) => Ok(hello),
        other => Err(End::Told(ErrorCode::Protocol, format!("the first message must be a hello, not {other:?}"))),
    }
}

/// The subscriber's next message.
async fn next(inbox: &mut Inbox, wait_max: Duration) -> Result<Upstream, End> {
    let Ok(received) = timeout(wait_max, inbox.next()).await else {
        let message = format!("nothing was heard from the subscriber for {} ms", wait_max.as_millis());
        return Err(End::Told(ErrorCode::Slow, message));
    };
    match received {
        Ok(Some(payload)) => feed::upstream(&payload).map_err(protocol_error),
        Ok(None) | Err(InboxError::Broken(_)) => Err(End::Left),
        Err(InboxError::Wire(error)) => Err(protocol_error(error)),
    }
}

fn protocol_error(error: littoral_wire::Error) -> End {
    End::Told(ErrorCode::Protocol, error.to_string())
}

fn log_error(error: impl ToString) -> End {
    End::Told(ErrorCode::Log, error.to_string())
}

/// Loops end only by an [`End`].
enum Never {}

impl Session<'_> {
    fn source(&self) -> &dyn FeedSource {
        &*self.shared.source
    }

    fn head(&self) -> Position {
        *self.source().head().borrow()
    }

    /// Answers the hello: what comes next, and from where.
    async fn greet(&self, hello: &SubscriberHello) -> Result<(Lsn, Mode, ViewFilter), End> {
        let version = version::negotiate(hello.version_min, hello.version_max)
            .map_err(|error| End::Told(ErrorCode::Version, error.to_string()))?;
        let head = self.head();
        let next = hello.resume.map_or(Lsn::OLDEST, |resume| Lsn(resume.position.lsn.0.saturating_add(1)));
        let (mut chain_there, mut next_is_there) = (None, false);
        if let Some(resume) = hello.resume.filter(|resume| resume.position.incarnation == head.incarnation) {
            chain_there = self.source().chain_at(resume.position.lsn);
            next_is_there = next > head.lsn || self.is_there(next).await?;
        }
        let mode = decide::mode(hello.resume, head, chain_there, next_is_there);
        let filter = ViewFilter::new(&hello.views, &self.source().catalogue());
        let answer = PublisherHello {
            version,
            region: self.source().region(),
            epoch: self.source().epoch(),
            head,
            mode,
            heartbeat_ms: self.shared.config.heartbeat_ms,
        };
        self.send(&Downstream::Hello(answer)).await?;
        Ok((next, mode, filter))
    }

    /// Whether the log still has this record.
    async fn is_there(&self, lsn: Lsn) -> Result<bool, End> {
        match self.source().records(lsn, 1).await {
            Ok(_) => Ok(true),
            Err(FeedReadError::Trimmed { .. }) => Ok(false),
            Err(error @ FeedReadError::Io(_)) => Err(log_error(error)),
        }
    }

    /// Hears the subscriber.
    async fn listen(&self, inbox: &mut Inbox) -> Result<Never, End> {
        loop {
            match next(inbox, self.shared.config.idle_timeout()).await? {
                Upstream::Ping { seq } => {
                    self.pings.seq.fetch_max(seq, Ordering::AcqRel);
                    self.pings.told.notify_one();
                }
                Upstream::Applied { lsn } => {
                    let behind = self.head().lsn.0.saturating_sub(lsn.0);
                    metrics::gauge!("littoral_feed_records_behind", "subscriber" => self.name.clone())
                        .set(behind as f64);
                }
                Upstream::Hello(_) => {
                    return Err(End::Told(ErrorCode::Protocol, "a second hello on one stream".to_owned()));
                }
            }
        }
    }

    /// Sends a heartbeat when a ping came, and when nothing else made one due.
    async fn heartbeats(&self) -> Result<Never, End> {
        let heartbeat = self.shared.config.heartbeat();
        loop {
            // An elapsed time is as good a reason as a ping.
            let _ = timeout(heartbeat, self.pings.told.notified()).await;
            self.push(|out| {
                // The echo is read before the head, so that the head is at least what it was when the ping came.
                let echo = self.pings.seq.load(Ordering::Acquire);
                let head = self.head();
                feed::push_downstream(out, &Downstream::Heartbeat { clock: clock(), head, echo })
            })
            .await?;
        }
    }

    /// Sends the snapshot, when there is to be one, then records as they come.
    async fn publish(&self, next: Lsn, mode: Mode, mut filter: ViewFilter) -> Result<Never, End> {
        let mut head = self.source().head();
        let incarnation = head.borrow().incarnation;
        let mut next = match mode {
            Mode::Tail => next,
            Mode::Snapshot => self.snapshot(&filter).await?.next(),
        };
        loop {
            let seen = *head.borrow_and_update();
            if seen.incarnation != incarnation {
                return Err(log_error("the log was begun anew; connect again"));
            }
            if next > seen.lsn {
                head.changed().await.map_err(|_| End::Told(ErrorCode::Shutdown, "the leader stops".to_owned()))?;
                continue;
            }
            let block = match self.source().records(next, self.shared.config.records_bytes).await {
                Ok(block) => block,
                Err(error @ FeedReadError::Trimmed { .. }) => {
                    let message = format!("{error} while the subscriber was behind; connect again");
                    return Err(End::Told(ErrorCode::Slow, message));
                }
                Err(error @ FeedReadError::Io(_)) => return Err(log_error(error)),
            };
            let chain = records::last_chain(&block.bytes).map_err(log_error)?;
            let (Some(chain_after), true) = (chain, block.first == next && block.last >= next) else {
                let (first, last) = (block.first, block.last);
                return Err(log_error(format!("the log gave records {first} to {last} instead of {next} on")));
            };
            let bytes = filter.apply(&block.bytes).map_err(log_error)?;
            metrics::counter!("littoral_feed_record_bytes_total").increment(bytes.len() as u64);
            self.send(&Downstream::Records { first: block.first, last: block.last, chain_after, bytes }).await?;
            next = block.last.next();
        }
    }

    /// Sends a snapshot; says as of where.
    async fn snapshot(&self, filter: &ViewFilter) -> Result<Lsn, End> {
        let source = self.source().snapshot();
        let as_of = source.as_of;
        self.send(&Downstream::SnapshotBegin {
            as_of,
            chain: source.chain,
            catalogue: source.catalogue,
            rows_estimate: source.rows_estimate,
        })
        .await?;
        let mut blocks = snapshot::start(source.chunks, filter.clone(), self.shared.config.snapshot_bytes);
        let mut rows = 0;
        while let Some(block) = blocks.recv().await {
            let block = block.map_err(log_error)?;
            rows += u64::from(block.rows);
            self.send(&Downstream::SnapshotRows { rows: block.rows, bytes: block.bytes }).await?;
        }
        self.send(&Downstream::SnapshotEnd { rows }).await?;
        metrics::counter!("littoral_feed_snapshots_total").increment(1);
        Ok(as_of.lsn)
    }

    async fn send(&self, message: &Downstream) -> Result<(), End> {
        self.push(|out| feed::push_downstream(out, message)).await
    }

    async fn push(
        &self,
        push: impl FnOnce(&mut littoral_wire::Outgoing) -> Result<(), littoral_wire::Error>,
    ) -> Result<(), End> {
        self.outbox.push(self.shared.config.slow_timeout(), push).await.map_err(|error| match error {
            PushError::Closed => End::Left,
            PushError::Full { .. } => End::Cut(ErrorCode::Slow, error.to_string()),
            PushError::Wire(error) => log_error(error),
        })
    }
}

/// The publisher's clock, for people: staleness is measured without it.
fn clock() -> Hlc {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Hlc::new(ms, 0)
}
