//! Follows the leader: connects, subscribes, and reconnects when the stream ends.
//! [`littoral_edge_core::follower`] decides the effect of each message.

use crate::{anti_entropy, budget, local_snapshot, rehoming, shared::Shared, tails};
use littoral_edge_core::follower::{Effect, Fault, FeedFollower};
use littoral_feed::client::{self, Connection, Pause};
use littoral_model::{
    adoption::OfferedLog,
    lineage::RegionLineages,
    position::{Lsn, Position},
};
use littoral_protocol::{
    eligibility::OtherLog,
    frame::{Downstream, ErrorCode, Mode, PublisherHello, Upstream},
    subscriber::Violation,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// The maximum delay for reporting an applied position while modules are not ready. A module that
/// never becomes ready must not block the report.
const MODULES_WAITED_MAX: Duration = Duration::from_secs(60);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Transport(#[from] client::Error),
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("the leader ended the feed ({code:?}): {message}")]
    Leader { code: ErrorCode, message: String },
    #[error("the leader closed the feed")]
    Closed,
    #[error("a preferred leader address is available again")]
    PreferredAddress,
    #[error("rows differed from the leader's and could not be repaired; a snapshot will replace them")]
    RepairFailed,
}

impl From<anti_entropy::RepairFailed> for Ended {
    fn from(_: anti_entropy::RepairFailed) -> Self {
        Self::RepairFailed
    }
}

impl Ended {
    /// Classifies the end for the follower.
    fn fault(&self) -> Fault {
        match self {
            Self::Transport(_) | Self::Closed | Self::PreferredAddress => Fault::Lost,
            Self::Violation(violation) => Fault::Violation(violation.clone()),
            Self::Leader { code, .. } => Fault::Ended(*code),
            Self::RepairFailed => Fault::RepairFailed,
        }
    }
}

/// Follows until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut driver = Driver::new(shared);
    let config = &driver.shared.config;
    let [min, max] = [config.reconnect_ms_min, config.reconnect_ms_max].map(Duration::from_millis);
    let mut pause = Pause::new(min, max);
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => break,
            ended = driver.follow() => ended,
        };
        driver.disconnected(&ended);
        if matches!(ended, Ended::PreferredAddress) {
            pause.reset();
            continue;
        }
        // Retry at once if an operator adopts a log.
        if driver.shared.adopting.lock().is_some() {
            pause.reset();
        }
        // A stream that worked for a while resets the pause; repeated failures do not.
        if begun.elapsed() > max {
            pause.reset();
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause.next_pause()) => {}
            () = driver.shared.adopted.notified() => {}
        }
    }
    driver.shared.link.lost("this edge is shutting down".to_owned());
}

/// Drives the follower: carries out its effects over the network and publishes them to readers.
struct Driver {
    shared: Arc<Shared>,
    follower: FeedFollower,
    /// The applied position that is not reported yet, because modules of that position are not
    /// ready, and since when.
    applied: Option<(Lsn, Duration)>,
    /// The last failure, so that a repeated one is logged only once.
    last_failure: String,
    anti_entropy: anti_entropy::Driver,
    /// Whether rows that this edge may not hold were reported on this stream.
    reported_outside: bool,
    /// The task that saves rows to disk before a snapshot replaces them.
    keeping: Option<Keeping>,
}

/// A task that writes to disk.
struct Keeping {
    /// For a detached tail, the last record that the log has not lost.
    fork: Option<Lsn>,
    task: JoinHandle<()>,
}

impl Driver {
    fn new(shared: Arc<Shared>) -> Self {
        let holdings = Arc::new(shared.config.holdings());
        let follower = FeedFollower::new(shared.config.name.clone(), holdings, shared.replica.load_full());
        let follower = follower.speaking(shared.config.leader.version);
        let anti_entropy = anti_entropy::Driver::new(shared.clone());
        let (last_failure, reported_outside) = (String::new(), false);
        Self { anti_entropy, shared, follower, applied: None, last_failure, reported_outside, keeping: None }
    }

    async fn follow(&mut self) -> Ended {
        match self.try_follow().await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        }
    }

    async fn try_follow(&mut self) -> Result<(), Ended> {
        (self.applied, self.reported_outside) = (None, false);
        if let Some(log) = self.shared.adopting.lock().take() {
            self.follower.adopt(log);
        }
        let config = &self.shared.config;
        let connected = client::connect_from(&config.leader, self.follower.first_address()).await;
        if connected.is_err() {
            // Without a publisher, no other log is offered.
            self.shared.offered.store(None);
        }
        let (mut connection, address) = connected?;
        let hello = self.follower.connected(address, self.shared.now());
        connection.sender.send(&Upstream::Hello(hello))?;
        let mut pings = interval(Duration::from_millis(config.ping_interval_ms));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut offered = false;
        let mut preferred = pin!(rehoming::preferred_address(self.shared.clone(), address));
        loop {
            tokio::select! {
                biased;
                _ = pings.tick() => self.tick(&connection)?,
                () = &mut preferred => return Err(Ended::PreferredAddress),
                event = self.anti_entropy.next() => self.anti_entropy.handle(event)?,
                message = connection.receiver.next() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        match &message {
                            // A relay may have learned more lives since its hello.
                            Downstream::SnapshotBegin { lineages, .. } => self.keep_tail(None, lineages),
                            // Wait until the held rows are on disk, or could not be written,
                            // before they are replaced.
                            Downstream::SnapshotEnd { .. } => {
                                if let Some(keeping) = self.keeping.take() {
                                    let _ = keeping.task.await;
                                }
                            }
                            _ => {}
                        }
                        self.receive(message)?;
                        if !offered && self.follower.may_request_rows() {
                            self.shared.link.connected(connection.calls.clone());
                            offered = true;
                        }
                    }
                },
            }
        }
    }

    fn tick(&mut self, connection: &Connection) -> Result<(), Ended> {
        let (messages, outgrown) = self.follower.tick(self.shared.now());
        for message in messages {
            match message {
                Upstream::Applied { lsn } => {
                    let since = self.applied.map_or_else(|| self.shared.now(), |(_, since)| since);
                    self.applied = Some((lsn, since));
                }
                message => connection.sender.send(&message)?,
            }
        }
        // A position counts as applied only when its modules are served, because module uploads
        // wait for that.
        if let Some((lsn, since)) = self.applied
            && (self.shared.serves_all_modules() || self.shared.now().saturating_sub(since) > MODULES_WAITED_MAX)
        {
            connection.sender.send(&Upstream::Applied { lsn })?;
            self.applied = None;
        }
        budget::report(&outgrown, self.shared.config.full_bytes_max);
        Ok(())
    }

    fn receive(&mut self, message: Downstream) -> Result<(), Ended> {
        let effect = self.follower.receive(message)?;
        // A publisher that only states why it does not serve is not a live leader.
        if !matches!(effect, Effect::End { .. }) {
            self.shared.heard();
        }
        if matches!(effect, Effect::Greeted(_) | Effect::Rehomed { .. }) {
            self.shared.offered.store(None);
        }
        match effect {
            Effect::Greeted(hello) => {
                tracing::info!(version = hello.version, mode = ?hello.mode, head = %hello.head, epoch = %hello.epoch, region = %hello.region, "subscribed to the leader");
                self.shared.set_heartbeat_ms(hello.heartbeat_ms);
                self.shared.heard_head(hello.head);
                self.shared.configured.store(Arc::new(hello.configured.clone()));
                self.save_before_snapshot(&hello);
                self.publish_freshness();
            }
            Effect::Rehomed { hello, replica } => {
                let beyond = &replica.point.load().beyond;
                tracing::warn!(region = %hello.region, from = %replica.position(), head = %hello.head, %beyond, "following another region's leader, without a new snapshot");
                metrics::counter!("littoral_edge_rehomed_total").increment(1);
                self.shared.set_heartbeat_ms(hello.heartbeat_ms);
                self.shared.heard_head(hello.head);
                self.shared.configured.store(Arc::new(hello.configured.clone()));
                self.shared.set_fresh_at(None);
                self.shared.swap_replica(replica.clone());
            }
            Effect::SnapshotBegun => metrics::counter!("littoral_edge_snapshots_total").increment(1),
            Effect::RowsAdded { rows, outside } => {
                metrics::counter!("littoral_edge_snapshot_rows_total").increment(u64::from(rows));
                self.report_outside(outside.into());
            }
            Effect::Serve { replica, replaced, freshness_void, outgrown } => {
                budget::report(&outgrown, self.shared.config.full_bytes_max);
                let position = replica.position();
                tracing::info!(rows = replica.table.len(), %position, "snapshot complete");
                if replaced {
                    tracing::warn!(%position, "the leader's log does not continue from this replica; its snapshot has replaced the replica");
                }
                if freshness_void {
                    self.shared.set_fresh_at(None);
                }
                self.shared.swap_replica(replica);
                self.publish_freshness();
            }
            Effect::Applied { block, position, changes, level } => {
                if level {
                    self.shared.anti_entropy.restart(block.last);
                }
                self.shared.relay.applied(&block, position);
                self.shared.relay_head.send_replace(position);
                if let Some(catalogue) = changes.catalogue {
                    self.shared.serve_catalogue(&catalogue);
                }
                self.shared.applied.advance(block.last.0);
                self.publish_freshness();
                metrics::counter!("littoral_edge_applied_rows_total").increment(changes.rows);
                self.report_outside(changes.outside);
                metrics::counter!("littoral_edge_tombstones_collected_total").increment(changes.collected as u64);
            }
            Effect::Heard { clock, head, leader_lost } => {
                self.shared.heard_clock(clock);
                self.shared.heard_head(head);
                self.shared.heard_beyond_lost(leader_lost);
                self.publish_freshness();
            }
            Effect::Compare(checkpoint) => {
                if let Some(replica) = self.follower.serving() {
                    self.anti_entropy.compare(replica, &checkpoint)?;
                }
            }
            Effect::Nothing => {}
            Effect::End { code, message } => return Err(Ended::Leader { code, message }),
        }
        Ok(())
    }

    /// Saves rows before a snapshot replaces them. If the snapshot is of another log, the rows may
    /// exist nowhere else. If this log was rolled back, the rows that it has lost are saved.
    fn save_before_snapshot(&mut self, hello: &PublisherHello) {
        let Some(replica) = self.follower.serving().filter(|_| hello.mode == Mode::Snapshot) else { return };
        let point = replica.point.load_full();
        if let Some(keeping) = &mut self.keeping {
            // A task that an earlier stream started may have failed since.
            keeping.fork = None;
        }
        if hello.log() != point.log() {
            let shared = self.shared.clone();
            self.write_first(None, async move { local_snapshot::save(&shared).await });
        }
        self.keep_tail(hello.forked.map(|fork| fork.position), &hello.lineages);
    }

    /// Saves the rows that the held log has lost, according to the publisher's statement and its
    /// lineage of that log.
    fn keep_tail(&mut self, stated: Option<Position>, lineages: &RegionLineages) {
        let Some(replica) = self.follower.serving().cloned() else { return };
        let by_lineage = tails::fork(&replica, lineages);
        let Some(fork) = stated.into_iter().chain(by_lineage).min_by_key(|fork| fork.lsn) else { return };
        if self.keeping.as_ref().is_some_and(|keeping| keeping.fork.is_some_and(|kept| kept <= fork.lsn)) {
            return;
        }
        let shared = self.shared.clone();
        self.write_first(Some(fork.lsn), async move { tails::keep(&shared, replica, fork).await });
    }

    /// Writes something before the held rows are replaced, after any write in progress.
    fn write_first(&mut self, fork: Option<Lsn>, work: impl Future<Output = ()> + Send + 'static) {
        let before = self.keeping.take();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.task.await;
            }
            work.await;
        });
        self.keeping = Some(Keeping { fork, task });
    }

    /// Counts rows that were discarded because a residency rule keeps them out of this edge's region. The stream goes
    /// on: its other rows are checked as always, and without it all other projects would become stale.
    fn report_outside(&mut self, rows: u64) {
        if rows == 0 {
            return;
        }
        metrics::counter!("littoral_edge_rows_outside_total").increment(rows);
        if !std::mem::replace(&mut self.reported_outside, true) {
            let leaders = &self.shared.config.leader.leader;
            let publisher = leaders.get(self.follower.address()).map_or("", String::as_str);
            tracing::error!(
                publisher,
                rows,
                "the publisher sends rows that a residency rule keeps out of this edge's region; they are discarded. \
                 Check the publisher's release, and which region it sees in this edge's certificate or configuration"
            );
        }
    }

    fn publish_freshness(&self) {
        if let Some(at) = self.follower.freshness() {
            self.shared.set_fresh_at(at);
        }
    }

    fn disconnected(&mut self, ended: &Ended) {
        let had_tailed = self.follower.has_tailed();
        self.follower.disconnected(&ended.fault());
        self.shared.link.lost(ended.to_string());
        if let Ended::Violation(Violation::OtherLog(other)) = ended {
            let OtherLog { region, log, head, .. } = **other;
            let reason = other.reason().to_owned();
            self.shared.offered.store(Some(Arc::new(OfferedLog { region, log, head, reason })));
            metrics::counter!("littoral_edge_other_logs_rejected_total").increment(1);
        } else if matches!(ended, Ended::Violation(_)) {
            metrics::counter!("littoral_edge_feed_violations_total").increment(1);
        }
        metrics::counter!("littoral_edge_feed_ended_total").increment(1);
        let failure = ended.to_string();
        if failure == self.last_failure && !had_tailed {
            tracing::debug!(reason = %failure, "the leader still does not serve the feed");
        } else {
            tracing::warn!(reason = %failure, "the feed ended; reads continue from the replica");
        }
        self.last_failure = failure;
    }
}
