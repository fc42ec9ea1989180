//! One subscriber's session: hello, a snapshot if needed, the tail, heartbeats.
//!
//! Three loops run concurrently in one task: they receive the subscriber's messages, send the snapshot and records, and
//! send heartbeats. They share the outbox, which is bounded, and the protocol's session, which makes the decisions.

mod greeting;

use self::greeting::{Greeted, check_holds, greet, no_data, rejected, rejected_by_follower};
use super::{Shared, activity::OpenStream, counted::Counted, policy::Peer, residency, snapshot::Blocks};
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
    region::Region,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Mode, Upstream, Views},
    publisher,
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
    let hello = match greeting::hello(inbox, shared, from).await {
        Ok(hello) => hello,
        Err(end) => return end,
    };
    name.clone_from(&hello.subscriber);
    let receiver = residency::receiver(from.region, &hello.views);
    let Greeted { mode, state, filter } = match greet(&hello, receiver, outbox, shared).await {
        Ok(greeted) => greeted,
        Err(end) => return end,
    };
    let for_region = match hello.views {
        Views::ForRegion(region) => Some(region),
        Views::All | Views::Names(_) => None,
    };
    let (resumed, version) = (state.applied(), state.version());
    let _counted = Counted::new(version);
    let (state, pinged) = (Mutex::new(state), Notify::new());
    let number = SESSIONS.fetch_add(1, Relaxed);
    let session = Session { number, shared, outbox, state, pinged, for_region };
    // A subscriber that resumes may still lack modules, so the position at which it resumes does not count as served.
    // It reports what it serves once it has received further records.
    session.note_applied(if for_region.is_some() { resumed } else { Lsn::NONE });
    let (resume, views) = (&hello.resume, &hello.views);
    tracing::info!(subscriber = %name, %version, ?mode, ?resume, ?views, ?receiver, "a subscriber has joined");
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

/// Restricts a checkpoint to the views that the subscriber replicates.
fn wanted_views(checkpoint: Arc<Checkpoint>, filter: &ViewFilter) -> Arc<Checkpoint> {
    if checkpoint.views.iter().all(|view| filter.wants(view.view)) {
        return checkpoint;
    }
    let views = checkpoint.views.iter().filter(|view| filter.wants(view.view)).cloned().collect();
    Arc::new(Checkpoint { views, ..*checkpoint })
}

/// Returns the records of a block up to `last`.
fn through(block: RecordBlock, last: Lsn) -> Result<RecordBlock, End> {
    let bytes = records::through(&block.bytes, block.first, last).map_err(log_error)?;
    Ok(RecordBlock { bytes, last, ..block })
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
                // A checkpoint of many views is long, so it counts and waits like records.
                self.outbox.link().records_may_go().await;
                self.update(&mut filter, seen)?;
                self.outbox.link().records_queued(self.checkpoint(checkpoint, &filter).await?);
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
            self.outbox.link().records_may_go().await;
            let seen = *head.borrow();
            self.check(seen)?;
            let block = self.read(next).await?;
            // A checkpoint is published before the head passes its record, so none within this block is missed.
            let due = checkpoints.borrow().due(compared, next).map(|(_, checkpoint)| checkpoint.lsn);
            let block = match due {
                Some(lsn) if block.first == next && lsn < block.last => through(block, lsn)?,
                _ => block,
            };
            // A record past the checked head may begin a life of the log, and the subscriber would attribute it to the
            // life before.
            let is_past = block.last > seen.lsn && block.first <= seen.lsn;
            let block = if is_past { through(block, seen.lsn)? } else { block };
            self.send_records(next, block, seen, &mut filter).await?;
        }
    }

    /// Reads records from `next`.
    async fn read(&self, next: Lsn) -> Result<RecordBlock, End> {
        self.source().records(next, self.shared.config.records_bytes).await.map_err(|error| match error {
            FeedReadError::Trimmed { .. } => {
                let message = format!("{error} while the subscriber lagged behind; reconnect for a snapshot");
                End::Rejected(ErrorCode::Slow, message)
            }
            FeedReadError::Io(_) | FeedReadError::NotHeld(_) => log_error(error),
        })
    }

    /// Sends the records of a block that must begin with `next`, as far as the subscriber may receive them. `seen` is
    /// the head before the records were read.
    async fn send_records(
        &self,
        next: Lsn,
        block: RecordBlock,
        seen: Position,
        filter: &mut ViewFilter,
    ) -> Result<(), End> {
        let chain = records::last_chain(&block.bytes).map_err(log_error)?;
        let (Some(chain_after), true) = (chain, block.first == next && block.last >= next) else {
            let (first, last) = (block.first, block.last);
            return Err(log_error(format!("the log returned records {first} to {last}, but {next} must come next")));
        };
        // After the records were read: the catalogue is at least as new as they are.
        self.update(filter, seen)?;
        let bytes = filter.apply(&block.bytes).map_err(log_error)?;
        metrics::counter!("littoral_feed_record_bytes_total").increment(bytes.len() as u64);
        // Note this before the records are sent, because the subscriber may apply them before this task continues.
        self.state.lock().records_sent(block.last);
        let message = Downstream::Records { first: block.first, last: block.last, chain_after, bytes };
        self.outbox.link().records_queued(self.send(&message).await?);
        Ok(())
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
            lineages: source.lineages,
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
            let _turn = self.outbox.link().snapshot_may_go().await;
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
    async fn checkpoint(&self, checkpoint: Arc<Checkpoint>, filter: &ViewFilter) -> Result<usize, End> {
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

    /// Sends a message. Returns how many bytes of the stream it takes.
    async fn send(&self, message: &Downstream) -> Result<usize, End> {
        self.push(|out| feed::push_downstream(out, message)).await
    }

    async fn push(&self, push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>) -> Result<usize, End> {
        push_or_cut(self.outbox, self.shared.config.slow_timeout(), push).await
    }
}

async fn push_or_cut(
    outbox: &Outbox,
    slow_timeout: Duration,
    push: impl FnOnce(&mut Outgoing) -> Result<(), littoral_wire::Error>,
) -> Result<usize, End> {
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
