//! Following the leader: connect, subscribe, apply, and again when the stream ends.

use crate::{
    apply,
    bootstrap::Bootstrap,
    budget, proof,
    replica::{Point, Replica},
    shared::Shared,
};
use littoral_feed::client::{self, Connection};
use littoral_model::{
    position::{Epoch, Incarnation, Lsn},
    region::Region,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Resume, Upstream},
    staleness::Staleness,
    subscriber::{Block, Effect, Remedy, Subscriber, Violation},
};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Streams that may be at fault at one position before a snapshot is taken instead of the tail.
const SAME_FAULT_MAX: u32 = 3;
/// Adding up what full views take costs more than applying a record.
const BUDGET_LOOK_EVERY: Duration = Duration::from_millis(200);

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
    #[error("rows here were not the leader's and could not be mended: a snapshot replaces them")]
    GivenUp,
}

impl From<proof::GivenUp> for Ended {
    fn from(_: proof::GivenUp) -> Self {
        Self::GivenUp
    }
}

/// Follows until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut follower = Follower::new(shared);
    let mut pause = Pause::new(&follower.shared.config);
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => break,
            ended = follower.follow() => ended,
        };
        follower.disconnected(&ended);
        // A stream that worked for a while earns a quick return; one that fails again and again does not.
        if begun.elapsed() > pause.max {
            pause.reset();
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause.next()) => {}
        }
    }
    follower.shared.link.lost("this edge is shutting down".to_owned());
}

struct Follower {
    shared: Arc<Shared>,
    staleness: Staleness,
    /// The log that was followed last, and the newest epoch seen there.
    followed: Option<(Incarnation, Epoch)>,
    /// What we hold may not be the leader's history: take a snapshot.
    needs_snapshot: bool,
    /// Whether the last stream got as far as records.
    tailed: bool,
    /// The address that is tried first, and the one that answered last.
    first_address: usize,
    address: usize,
    /// Where the last streams were at fault, and how often there.
    stuck: (Option<Resume>, u32),
    /// The last failure, so that one that repeats is logged once.
    last_failure: String,
    proof: proof::Driver,
}

/// One stream's state.
struct Stream {
    connection: Connection,
    subscriber: Subscriber,
    region: Region,
    bootstrap: Option<Bootstrap>,
    told: Lsn,
    last_look: Instant,
    /// Whether records were applied since then.
    grown: bool,
}

impl Follower {
    fn new(shared: Arc<Shared>) -> Self {
        let point = shared.replica.load().as_ref().map(|replica| replica.point.load_full());
        let followed = point.map(|point| (point.resume.position.incarnation, point.epoch));
        Self {
            proof: proof::Driver::new(shared.clone()),
            shared,
            staleness: Staleness::default(),
            followed,
            needs_snapshot: false,
            tailed: false,
            first_address: 0,
            address: 0,
            stuck: (None, 0),
            last_failure: String::new(),
        }
    }

    async fn follow(&mut self) -> Ended {
        self.tailed = false;
        match self.try_follow().await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        }
    }

    async fn try_follow(&mut self) -> Result<(), Ended> {
        let config = &self.shared.config;
        let (connection, address) = client::connect_from(&config.leader, self.first_address).await?;
        self.address = address;
        let resume = (self.shared.replica.load().as_ref())
            .filter(|_| !self.needs_snapshot)
            .map(|replica| replica.point.load().resume);
        let subscriber = Subscriber::new(resume, self.followed, config.wanted());
        connection.sender.send(&Upstream::Hello(subscriber.hello(&config.name)))?;
        self.shared.link.connected(connection.calls.clone());
        if let Some(resume) = resume {
            self.staleness.applied(resume.position.lsn);
        }
        let told = resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
        let mut stream = Stream {
            connection,
            subscriber,
            region: Region::NONE,
            bootstrap: None,
            told,
            last_look: Instant::now(),
            grown: false,
        };
        let mut pings = interval(Duration::from_millis(config.ping_interval_ms));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = pings.tick() => self.tick(&mut stream)?,
                event = self.proof.next() => self.proof.take(event)?,
                message = stream.connection.receiver.next() => match message? {
                    None => return Ok(()),
                    Some(message) => self.take(&mut stream, message)?,
                },
            }
        }
    }

    /// Pings, and says what is applied.
    fn tick(&mut self, stream: &mut Stream) -> Result<(), Ended> {
        if let Some(seq) = self.staleness.ping(self.shared.now()) {
            stream.connection.sender.send(&Upstream::Ping { seq })?;
        }
        let applied = stream.subscriber.resume().map_or(Lsn::NONE, |resume| resume.position.lsn);
        if self.tailed && applied != stream.told {
            stream.told = applied;
            stream.connection.sender.send(&Upstream::Applied { lsn: applied })?;
        }
        self.look_at_budget(stream);
        Ok(())
    }

    fn take(&mut self, stream: &mut Stream, message: Downstream) -> Result<(), Ended> {
        let effect = stream.subscriber.receive(message)?;
        // A publisher that only says why it does not serve is no leader that lives.
        if !matches!(effect, Effect::End { .. }) {
            self.shared.heard();
        }
        match effect {
            Effect::Greeted(hello) => {
                tracing::info!(mode = ?hello.mode, head = %hello.head, epoch = %hello.epoch, region = %hello.region, "subscribed to the leader");
                stream.region = hello.region;
                self.tailed = hello.mode == littoral_protocol::frame::Mode::Tail;
                self.followed = Some((hello.head.incarnation, stream.subscriber.epoch()));
                self.shared.set_heartbeat_ms(hello.heartbeat_ms);
                self.shared.heard_head(hello.head);
            }
            Effect::BeginSnapshot { as_of, chain, catalogue, rows_estimate } => {
                metrics::counter!("littoral_edge_snapshots_total").increment(1);
                let resume = Resume { position: as_of, chain };
                let point = Point::new(resume, stream.subscriber.epoch(), stream.region, catalogue);
                stream.bootstrap = Some(Bootstrap::begin(&self.shared.config, point, rows_estimate));
            }
            Effect::TakeRows { rows, bytes } => {
                if let Some(bootstrap) = &mut stream.bootstrap {
                    bootstrap.take(&self.shared.config, rows, &bytes)?;
                }
                metrics::counter!("littoral_edge_snapshot_rows_total").increment(u64::from(rows));
            }
            Effect::FinishSnapshot => {
                if let Some(bootstrap) = stream.bootstrap.take() {
                    self.swap(bootstrap.finish(&self.shared.config));
                }
            }
            Effect::Apply(block) => self.apply(stream, &block)?,
            Effect::Heard { clock, head, echo, behind, leader_lost } => {
                self.shared.heard_clock(clock);
                self.shared.heard_head(head);
                self.staleness.echo(echo, head.lsn, behind);
                self.shared.heard_beyond_lost(leader_lost);
                self.publish_freshness(stream);
            }
            Effect::Compare(checkpoint) => {
                if let Some(replica) = self.shared.replica.load_full() {
                    self.proof.compare(&replica, &checkpoint)?;
                }
            }
            Effect::End { code, message } => return Err(Ended::Leader { code, message }),
        }
        Ok(())
    }

    fn swap(&mut self, replica: Arc<Replica>) {
        let position = replica.position();
        let before = self.shared.replica.load().as_ref().map(|replica| replica.position().incarnation);
        if before.is_some_and(|before| before != position.incarnation) || self.needs_snapshot {
            tracing::warn!(%position, "the leader's log could not be followed on from here; its snapshot has replaced the replica");
            self.staleness.forget();
            self.shared.set_fresh_at(None);
        }
        self.needs_snapshot = false;
        self.tailed = true;
        self.shared.swap_replica(replica);
        self.staleness.applied(position.lsn);
        self.shared.set_fresh_at(self.staleness.fresh_at());
    }

    fn apply(&mut self, stream: &mut Stream, block: &Block) -> Result<(), Ended> {
        let Some(replica) = self.shared.replica.load_full() else { return Ok(()) };
        let checked = apply::check(block)?;
        let brought = apply::apply(&replica, &self.shared.config, &checked);
        stream.subscriber.applied(block, checked.epoch);
        let epoch = stream.subscriber.epoch();
        self.followed = Some((replica.position().incarnation, epoch));

        let before = replica.point.load();
        let resume = stream.subscriber.resume().unwrap_or(before.resume);
        let catalogue = brought.catalogue.clone().unwrap_or_else(|| before.catalogue.clone());
        replica.point.store(Arc::new(Point::new(resume, epoch, before.region, catalogue)));
        drop(before);
        self.shared.relay.applied(block, resume.position);
        if let Some(catalogue) = brought.catalogue {
            self.shared.serve_catalogue(&catalogue);
        }
        self.shared.applied.advance(block.last.0);
        self.staleness.applied(block.last);
        self.publish_freshness(stream);
        metrics::counter!("littoral_edge_applied_rows_total").increment(brought.rows);

        stream.grown = true;
        Ok(())
    }

    /// Looks whether full views still fit, at most every so often, and also after the last record of a burst.
    fn look_at_budget(&self, stream: &mut Stream) {
        let now = Instant::now();
        if !stream.grown || now - stream.last_look < BUDGET_LOOK_EVERY {
            return;
        }
        (stream.grown, stream.last_look) = (false, now);
        if let Some(replica) = self.shared.replica.load_full() {
            budget::enforce(&replica, &self.shared.config);
        }
    }

    /// While a snapshot replaces the replica, echoes speak of what is not served yet.
    fn publish_freshness(&self, stream: &Stream) {
        if stream.bootstrap.is_none() && self.tailed {
            self.shared.set_fresh_at(self.staleness.fresh_at());
        }
    }

    fn disconnected(&mut self, ended: &Ended) {
        self.staleness.disconnected();
        self.shared.link.lost(ended.to_string());
        // A relay that does not have what is wanted still answers: the next address may have it. Else the order counts.
        let not_here = matches!(ended, Ended::Leader { code: ErrorCode::Behind, .. });
        self.first_address = if not_here { self.address + 1 } else { 0 };
        if let Ended::Violation(violation) = ended {
            metrics::counter!("littoral_edge_feed_violations_total").increment(1);
            let at = self.shared.replica.load().as_ref().map(|replica| replica.point.load().resume);
            match violation.remedy() {
                Remedy::Resume => {}
                Remedy::ResumeOrSnapshot => {
                    let times = if self.stuck.0 == at { self.stuck.1 + 1 } else { 1 };
                    self.stuck = (at, times);
                    self.needs_snapshot |= times >= SAME_FAULT_MAX;
                }
                Remedy::Snapshot => self.needs_snapshot = true,
            }
        }
        self.needs_snapshot |= matches!(ended, Ended::GivenUp);
        metrics::counter!("littoral_edge_feed_ended_total").increment(1);
        let failure = ended.to_string();
        if failure == self.last_failure && !self.tailed {
            tracing::debug!(reason = %failure, "the leader still does not serve the feed");
        } else {
            tracing::warn!(reason = %failure, "the feed ended; reads go on from the replica");
        }
        self.last_failure = failure;
    }
}

/// Pauses between attempts: doubling, with jitter, so that edges do not come back all at once.
struct Pause {
    min: Duration,
    max: Duration,
    next: Duration,
    random: RandomState,
    drawn: u64,
}

impl Pause {
    fn new(config: &crate::Config) -> Self {
        let min = Duration::from_millis(config.reconnect_ms_min);
        let max = Duration::from_millis(config.reconnect_ms_max);
        Self { min, max, next: min, random: RandomState::new(), drawn: 0 }
    }

    fn reset(&mut self) {
        self.next = self.min;
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        self.drawn += 1;
        // Between a half and the whole of it.
        let share = self.random.hash_one(self.drawn) as u32;
        pause / 2 + (pause / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_start_over() {
        let config = crate::Config { reconnect_ms_min: 100, reconnect_ms_max: 350, ..Default::default() };
        let mut pause = Pause::new(&config);
        for ms in [100, 200, 350, 350] {
            let whole = Duration::from_millis(ms);
            let drawn = pause.next();
            assert!(drawn >= whole / 2 && drawn <= whole, "{drawn:?} of {whole:?}");
        }
        pause.reset();
        assert!(pause.next() <= Duration::from_millis(100));
    }
}
