//! Following the leader: connect, subscribe, and again when the stream ends. What each message leads to is decided in
//! [`littoral_edge_core::follower`].

use crate::{budget, homeward, local_snapshot, proof, shared::Shared, tails};
use littoral_edge_core::follower::{Effect, Fault, Follower};
use littoral_feed::client::{self, Connection, Pause};
use littoral_model::{
    adoption::OfferedLog,
    lives::RegionLives,
    position::{Lsn, Position},
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Mode, PublisherHello, Upstream},
    kinship::OtherLog,
    subscriber::Violation,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How long an edge delays the report of an applied position while modules are not ready: a module that never is must not block it.
const MODULES_WAITED_MAX: Duration = Duration::from_secs(60);

/// Why a stream has ended.
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
    #[error("a better place to follow is there again")]
    Homeward,
    #[error("rows here were not the leader's and could not be mended: a snapshot replaces them")]
    GivenUp,
}

impl From<proof::GivenUp> for Ended {
    fn from(_: proof::GivenUp) -> Self {
        Self::GivenUp
    }
}

impl Ended {
    /// What it means for who follows.
    fn fault(&self) -> Fault {
        match self {
            Self::Transport(_) | Self::Closed | Self::Homeward => Fault::Lost,
            Self::Violation(violation) => Fault::Violation(violation.clone()),
            Self::Leader { code, .. } => Fault::Ended(*code),
            Self::GivenUp => Fault::GivenUp,
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
        if matches!(ended, Ended::Homeward) {
            pause.reset();
            continue;
        }
        // Whoever adopts a log wants it now.
        if driver.shared.adopting.lock().is_some() {
            pause.reset();
        }
        // A stream that worked for a while earns a quick return; one that fails again and again does not.
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

/// The follower's driver: what it decides is carried out over the network and told to readers.
struct Driver {
    shared: Arc<Shared>,
    follower: Follower,
    /// What is applied and not reported yet, as modules of that position are not ready, and since when.
    applied: Option<(Lsn, Duration)>,
    /// The last failure, so that one that repeats is logged once.
    last_failure: String,
    proof: proof::Driver,
    /// What gives way to a snapshot is being written to disk.
    keeping: Option<Keeping>,
}

/// Something is written to disk.
struct Keeping {
    /// The last record that the log has not lost, of a tail.
    fork: Option<Lsn>,
    task: JoinHandle<()>,
}

impl Driver {
    fn new(shared: Arc<Shared>) -> Self {
        let holdings = Arc::new(shared.config.holdings());
        let follower = Follower::new(shared.config.name.clone(), holdings, shared.replica.load_full());
        let proof = proof::Driver::new(shared.clone());
        Self { proof, shared, follower, applied: None, last_failure: String::new(), keeping: None }
    }

    async fn follow(&mut self) -> Ended {
        match self.try_follow().await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        }
    }

    async fn try_follow(&mut self) -> Result<(), Ended> {
        self.applied = None;
        if let Some(log) = self.shared.adopting.lock().take() {
            self.follower.adopt(log);
        }
        let config = &self.shared.config;
        let connected = client::connect_from(&config.leader, self.follower.first_address()).await;
        if connected.is_err() {
            // No publisher answers, so none offers another log.
            self.shared.offered.store(None);
        }
        let (mut connection, address) = connected?;
        let hello = self.follower.connected(address, self.shared.now());
        connection.sender.send(&Upstream::Hello(hello))?;
        let mut pings = interval(Duration::from_millis(config.ping_interval_ms));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut offered = false;
        let mut homeward = pin!(homeward::better_place(self.shared.clone(), address));
        loop {
            tokio::select! {
                biased;
                _ = pings.tick() => self.tick(&connection)?,
                () = &mut homeward => return Err(Ended::Homeward),
                event = self.proof.next() => self.proof.take(event)?,
                message = connection.receiver.next() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        match &message {
                            // A relay may have learnt more since its hello.
                            Downstream::SnapshotBegin { lives, .. } => self.keep_tail(None, lives),
                            // Before it is replaced, what is held is on the disk, or could not be written.
                            Downstream::SnapshotEnd { .. } => {
                                if let Some(keeping) = self.keeping.take() {
                                    let _ = keeping.task.await;
                                }
                            }
                            _ => {}
                        }
                        self.take(message)?;
                        if !offered && self.follower.may_ask() {
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
        // Only what is served counts as applied: whoever puts a module waits for that.
        if let Some((lsn, since)) = self.applied
            && (self.shared.serves_all_modules() || self.shared.now().saturating_sub(since) > MODULES_WAITED_MAX)
        {
            connection.sender.send(&Upstream::Applied { lsn })?;
            self.applied = None;
        }
        budget::report(&outgrown, self.shared.config.full_bytes_max);
        Ok(())
    }

    fn take(&mut self, message: Downstream) -> Result<(), Ended> {
        let effect = self.follower.take(message)?;
        // A publisher that only says why it does not serve is no leader that lives.
        if !matches!(effect, Effect::End { .. }) {
            self.shared.heard();
        }
        if matches!(effect, Effect::Greeted(_) | Effect::Rehomed { .. }) {
            self.shared.offered.store(None);
        }
        match effect {
            Effect::Greeted(hello) => {
                tracing::info!(mode = ?hello.mode, head = %hello.head, epoch = %hello.epoch, region = %hello.region, "subscribed to the leader");
                self.shared.set_heartbeat_ms(hello.heartbeat_ms);
                self.shared.heard_head(hello.head);
                self.shared.configured.store(Arc::new(hello.configured.clone()));
                self.keep_what_gives_way(&hello);
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
            Effect::RowsTaken(rows) => {
                metrics::counter!("littoral_edge_snapshot_rows_total").increment(u64::from(rows));
            }
            Effect::Serve { replica, replaced, outgrown } => {
                budget::report(&outgrown, self.shared.config.full_bytes_max);
                let position = replica.position();
                tracing::info!(rows = replica.table.len(), %position, "snapshot complete");
                if replaced {
                    tracing::warn!(%position, "the leader's log could not be followed on from here; its snapshot has replaced the replica");
                    self.shared.set_fresh_at(None);
                }
                self.shared.swap_replica(replica);
                self.publish_freshness();
            }
            Effect::Applied { block, position, brought, level } => {
                if level {
                    self.shared.proof.restart(block.last);
                }
                self.shared.relay.applied(&block, position);
                self.shared.relay_head.send_replace(position);
                if let Some(catalogue) = brought.catalogue {
                    self.shared.serve_catalogue(&catalogue);
                }
                self.shared.applied.advance(block.last.0);
                self.publish_freshness();
                metrics::counter!("littoral_edge_applied_rows_total").increment(brought.rows);
                metrics::counter!("littoral_edge_tombstones_collected_total").increment(brought.collected as u64);
            }
            Effect::Heard { clock, head, leader_lost } => {
                self.shared.heard_clock(clock);
                self.shared.heard_head(head);
                self.shared.heard_beyond_lost(leader_lost);
                self.publish_freshness();
            }
            Effect::Compare(checkpoint) => {
                if let Some(replica) = self.follower.serving() {
                    self.proof.compare(replica, &checkpoint)?;
                }
            }
            Effect::Nothing => {}
            Effect::End { code, message } => return Err(Ended::Leader { code, message }),
        }
        Ok(())
    }

    /// A snapshot of another log will replace rows that nobody else may have: they are written to disk first. So are those that this
    /// log has lost, if it was put back to an older copy.
    fn keep_what_gives_way(&mut self, hello: &PublisherHello) {
        let Some(replica) = self.follower.serving().filter(|_| hello.mode == Mode::Snapshot) else { return };
        let point = replica.point.load_full();
        if let Some(keeping) = &mut self.keeping {
            // What an earlier stream has begun may have failed since.
            keeping.fork = None;
        }
        if hello.log() != point.log() {
            let shared = self.shared.clone();
            self.write_first(None, async move { local_snapshot::save(&shared).await });
        }
        self.keep_tail(hello.forked.map(|fork| fork.position), &hello.lives);
    }

    /// Keeps the rows that the log which is held has lost: by what the publisher says, and by the history that it gives of that log.
    fn keep_tail(&mut self, said: Option<Position>, lives: &RegionLives) {
        let Some(replica) = self.follower.serving().cloned() else { return };
        let by_history = tails::fork(&replica, lives);
        let Some(fork) = said.into_iter().chain(by_history).min_by_key(|fork| fork.lsn) else { return };
        if self.keeping.as_ref().is_some_and(|keeping| keeping.fork.is_some_and(|kept| kept <= fork.lsn)) {
            return;
        }
        let shared = self.shared.clone();
        self.write_first(Some(fork.lsn), async move { tails::keep(&shared, replica, fork).await });
    }

    /// Writes something, after what is being written already, before what is held is replaced.
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
            metrics::counter!("littoral_edge_other_logs_refused_total").increment(1);
        } else if matches!(ended, Ended::Violation(_)) {
            metrics::counter!("littoral_edge_feed_violations_total").increment(1);
        }
        metrics::counter!("littoral_edge_feed_ended_total").increment(1);
        let failure = ended.to_string();
        if failure == self.last_failure && !had_tailed {
            tracing::debug!(reason = %failure, "the leader still does not serve the feed");
        } else {
            tracing::warn!(reason = %failure, "the feed ended; reads go on from the replica");
        }
        self.last_failure = failure;
    }
}
