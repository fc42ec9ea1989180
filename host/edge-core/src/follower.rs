//! Follows a publisher over a sequence of streams: handles each message, keeps the state between
//! streams, and starts the next stream.

mod advance;
mod effect;

pub use effect::{Effect, Fault};

use crate::{
    bootstrap::Bootstrap,
    budget::{self, Outgrown},
    holdings::Holdings,
    replica::{AppliedPoint, Replica},
};
use littoral_model::{
    cluster::Affiliation,
    format::ProtocolVersion,
    lineage::{Lineage, RegionLineages},
    mutation::{Mutation, active},
    position::{Incarnation, Lsn},
    region::Region,
};
use littoral_protocol::{
    eligibility::HeldLog,
    frame::{Downstream, ErrorCode, Mode, PublisherHello, Resume, SubscriberHello, Upstream},
    staleness::Staleness,
    subscriber::{Action, Epochs, Remedy, Subscriber, Violation},
};
use std::{sync::Arc, time::Duration};

/// After this many faulty streams at one position, the follower requests a snapshot instead of the
/// tail.
pub const SAME_FAULT_MAX: u32 = 3;
/// The minimum time between budget checks, because summing the memory of full views costs more
/// than applying a record.
const BUDGET_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// The state of one stream.
#[derive(Debug)]
struct Stream {
    subscriber: Subscriber,
    /// Whether the publisher's hello was accepted.
    greeted: bool,
    region: Region,
    bootstrap: Option<Bootstrap>,
    /// The affiliation of the publisher's log.
    belongs: Option<Affiliation>,
    /// The publisher's last record when it answered. Lives that began up to it are known.
    head: Lsn,
    /// The position that was last reported to the publisher.
    reported: Lsn,
    /// The time of the last budget check.
    checked_at: Duration,
    /// Whether records were applied since the last budget check.
    grown: bool,
}

/// The state of an edge that follows a publisher. It alone changes the replica.
#[derive(Debug)]
pub struct FeedFollower {
    name: String,
    /// The newest protocol version that it speaks.
    version: ProtocolVersion,
    holdings: Arc<Holdings>,
    serving: Option<Arc<Replica>>,
    staleness: Staleness,
    /// The newest epochs seen.
    epochs: Epochs,
    /// The lineages of the regions' logs, as the last publisher stated them.
    lineages: Arc<RegionLineages>,
    /// Whether a snapshot is needed, because the held rows may differ from the leader's records.
    needs_snapshot: bool,
    /// A log that an operator has chosen for adoption in place of the held one.
    adopted: Option<Incarnation>,
    /// Whether the stream has reached the tail.
    tailed: bool,
    /// The index of the address to try first.
    first_address: usize,
    /// The index of the last address that answered.
    address: usize,
    /// The position of the last faulty streams, and their number.
    stuck: (Option<Resume>, u32),
    stream: Option<Stream>,
}

impl FeedFollower {
    /// Creates the follower of the edge with this name, which serves `serving`, if any.
    #[must_use]
    pub fn new(name: String, holdings: Arc<Holdings>, serving: Option<Arc<Replica>>) -> Self {
        let point = serving.as_ref().map(|replica| replica.point.load_full());
        Self {
            name,
            version: ProtocolVersion::NEWEST,
            holdings,
            serving,
            lineages: point.as_ref().map(|point| point.lineages.clone()).unwrap_or_default(),
            staleness: Staleness::default(),
            epochs: point.map(|point| (point.resume.position.incarnation, point.epoch)).into(),
            needs_snapshot: false,
            adopted: None,
            tailed: false,
            first_address: 0,
            address: 0,
            stuck: (None, 0),
            stream: None,
        }
    }

    /// Sets the newest protocol version that it speaks.
    #[must_use]
    pub fn speaking(self, version: ProtocolVersion) -> Self {
        Self { version, ..self }
    }

    /// Returns the index of the configured address to try first. An index past the end means the
    /// first address.
    #[must_use]
    pub fn first_address(&self) -> usize {
        self.first_address
    }

    /// Returns the index of the configured address that answered last.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// Returns the served replica.
    #[must_use]
    pub fn serving(&self) -> Option<&Arc<Replica>> {
        self.serving.as_ref()
    }

    /// Returns whether rows may be requested from the publisher, which requires that its hello was
    /// accepted. Another publisher may serve an obsolete lineage and return older rows than those
    /// held.
    #[must_use]
    pub fn may_request_rows(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.greeted || active(Mutation::RequestBeforeGreeted))
    }

    /// Returns whether the stream has reached the tail.
    #[must_use]
    pub fn has_tailed(&self) -> bool {
        self.tailed
    }

    /// Starts a stream to this address. Returns the hello to send.
    pub fn connected(&mut self, address: usize, now: Duration) -> SubscriberHello {
        self.address = address;
        let replica = self.serving.as_ref().filter(|_| !self.needs_snapshot);
        let resume = replica.map(|replica| replica.point.load().resume);
        let watermark = replica.map(|replica| replica.rehoming_watermark()).unwrap_or_default();
        let subscriber = Subscriber::new(resume, self.epochs.clone(), self.holdings.wanted()).speaking(self.version);
        let subscriber = subscriber.with_watermark(watermark).with_lineages(self.known_lineages());
        let subscriber = subscriber.holding(self.held());
        let subscriber = subscriber.with_rows_up_to(self.serving.as_ref().map(|replica| replica.holds_up_to()));
        let hello = subscriber.hello(&self.name);
        if let Some(resume) = resume {
            self.staleness.applied(resume.position.lsn);
        }
        let reported = resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
        self.stream = Some(Stream {
            subscriber,
            greeted: false,
            region: Region::NONE,
            bootstrap: None,
            belongs: None,
            head: Lsn::NONE,
            reported,
            checked_at: now,
            grown: false,
        });
        hello
    }

    /// Returns the known lineages of the regions' logs, with that of the held rows. The last publisher
    /// may have stated another lineage of that log, if its snapshot did not arrive. Without the life
    /// of the position, the next publisher would treat the held rows as those of another log.
    fn known_lineages(&self) -> RegionLineages {
        let mut lineages = RegionLineages::clone(&self.lineages);
        let point = self.serving.as_ref().map(|replica| replica.point.load());
        if let Some(point) = point
            && let Some(held) = point.lineages.get(point.region)
        {
            lineages.set(point.region, held.clone());
        }
        lineages
    }

    /// Makes the edge adopt this log in place of the held one.
    pub fn adopt(&mut self, log: Incarnation) {
        self.adopted = Some(log);
    }

    /// Returns the log whose rows are held.
    fn held(&self) -> Option<HeldLog> {
        let point = self.serving.as_ref()?.point.load_full();
        let cluster = point.lineages.belongs().map(|belongs| belongs.cluster);
        Some(HeldLog { region: point.region, log: point.log(), cluster, adopted: self.adopted })
    }

    /// Handles the ping timer. Returns the messages to send, and the views that exceeded their
    /// memory budget.
    pub fn tick(&mut self, now: Duration) -> (Vec<Upstream>, Vec<Outgrown>) {
        let mut messages = Vec::new();
        let Some(stream) = &mut self.stream else { return (messages, Vec::new()) };
        messages.extend(self.staleness.ping(now).map(|seq| Upstream::Ping { seq }));
        let applied = stream.subscriber.resume().map_or(Lsn::NONE, |resume| resume.position.lsn);
        if self.tailed && applied != stream.reported {
            stream.reported = applied;
            messages.push(Upstream::Applied { lsn: applied });
        }
        // Check at most once per interval, but also after the last record of a burst.
        if !stream.grown || now.saturating_sub(stream.checked_at) < BUDGET_CHECK_INTERVAL {
            return (messages, Vec::new());
        }
        (stream.grown, stream.checked_at) = (false, now);
        let outgrown = self.serving.as_ref().map(|replica| budget::enforce(replica, &self.holdings));
        (messages, outgrown.unwrap_or_default())
    }

    /// Handles a message.
    ///
    /// # Errors
    /// [`Violation`]; the driver ends the stream with [`Fault::Violation`].
    pub fn receive(&mut self, message: Downstream) -> Result<Effect, Violation> {
        let Some(stream) = &mut self.stream else { return Ok(Effect::Nothing) };
        let action =
            stream.subscriber.receive(message).inspect_err(|violation| self.epochs.note_rejected(violation))?;
        Ok(match action {
            Action::Greeted(hello) => {
                (stream.region, stream.greeted, stream.head) = (hello.region, true, hello.head.lsn);
                stream.belongs = belongs(&hello);
                self.tailed = hello.mode == Mode::Tail;
                self.epochs.note_seen(hello.head.incarnation, stream.subscriber.epoch());
                self.epochs.note_followed(stream.subscriber.lineage());
                self.lineages = newest_lineages(&self.lineages, &hello);
                if let (Some(begins), Some(replica)) = (hello.rehomed, self.serving.clone()) {
                    return Ok(self.rehome(hello, begins, &replica));
                }
                match (hello.mode, &self.serving) {
                    (Mode::Snapshot, _) => self.staleness.awaits_snapshot(),
                    // Rows of a snapshot may be newer than its position. They too must belong to
                    // this lineage.
                    (Mode::Tail, Some(replica)) if replica.holds_beyond(hello.head.lsn) => {
                        return Err(Violation::CutBack { head: hello.head.lsn, holds: replica.exact_from() });
                    }
                    (Mode::Tail, Some(replica)) => {
                        let lacked_life = replica.note_hello(stream.subscriber.epoch(), &hello)?;
                        if lacked_life && !active(Mutation::FreshAcrossTails) {
                            self.staleness.void();
                        }
                    }
                    (Mode::Tail, None) => {}
                }
                Effect::Greeted(hello)
            }
            Action::BeginSnapshot { as_of, chain, watermark, mut lineages, mixed, catalogue, rows_estimate } => {
                lineages.set_belongs(stream.belongs);
                let resume = Resume { position: as_of, chain };
                let epoch = stream.subscriber.epoch();
                let whose = (stream.region, Arc::new(lineages));
                let point = AppliedPoint { mixed, ..AppliedPoint::new(resume, epoch, whose, watermark, catalogue) };
                stream.bootstrap = Some(Bootstrap::begin(&self.holdings, point, rows_estimate));
                Effect::SnapshotBegun
            }
            Action::AddRows { rows, bytes } => {
                let bootstrap = stream.bootstrap.as_mut();
                let outside = bootstrap.map_or(Ok(0), |bootstrap| bootstrap.add(&self.holdings, rows, &bytes))?;
                Effect::RowsAdded { rows, outside }
            }
            Action::FinishSnapshot => match stream.bootstrap.take() {
                Some(bootstrap) => self.serve(bootstrap),
                None => Effect::Nothing,
            },
            Action::Apply(block) => return self.apply(block),
            Action::Heard { clock, head, echo, behind, leader_lost } => {
                self.staleness.echo(echo, head.lsn, behind);
                Effect::Heard { clock, head, leader_lost }
            }
            Action::Compare(checkpoint) => Effect::Compare(checkpoint),
            Action::End { code, message } => Effect::End { code, message },
        })
    }

    /// Returns the time up to which everything is in the served replica, to publish after every
    /// message; the inner `None` means that nothing is known. While a snapshot is arriving, echoes
    /// refer to data that is not served yet, and nothing is published.
    #[must_use]
    pub fn freshness(&self) -> Option<Option<Duration>> {
        let settled = self.tailed && self.stream.as_ref().is_some_and(|stream| stream.bootstrap.is_none());
        settled.then(|| self.staleness.fresh_at())
    }

    /// Handles the end of a stream, or a failed connection attempt.
    pub fn disconnected(&mut self, fault: &Fault) {
        self.stream = None;
        self.tailed = false;
        self.staleness.disconnected();
        // A relay that lacks the requested records still answers, and so does a leader of another
        // log. Then the next address may help. Otherwise the configured order applies.
        let try_next = matches!(fault, Fault::Ended(ErrorCode::Behind) | Fault::Violation(Violation::OtherLog(_)));
        self.first_address = if try_next { self.address + 1 } else { 0 };
        match fault {
            Fault::Lost | Fault::Ended(_) => {}
            Fault::RepairFailed => self.needs_snapshot = true,
            Fault::Violation(violation) => match violation.remedy() {
                Remedy::Resume => {}
                Remedy::ResumeOrSnapshot => {
                    let at = self.serving.as_ref().map(|replica| replica.point.load().resume);
                    let times = if self.stuck.0 == at { self.stuck.1 + 1 } else { 1 };
                    self.stuck = (at, times);
                    self.needs_snapshot |= times >= SAME_FAULT_MAX;
                }
                Remedy::Snapshot => self.needs_snapshot = true,
            },
        }
    }
}

/// Returns the affiliation of a publisher's log, as far as its hello states it.
fn belongs(hello: &PublisherHello) -> Option<Affiliation> {
    let PublisherHello { cluster, succeeds, .. } = *hello;
    cluster.map(|cluster| Affiliation { cluster, succeeds, healed: true })
}

/// Merges the known lineages with those that a new publisher states. The publisher's lineage of its own log always
/// replaces the known one. Its lineage of another log does so unless the known one is further.
pub(crate) fn newest_lineages(before: &RegionLineages, hello: &PublisherHello) -> Arc<RegionLineages> {
    let mut lineages = before.clone();
    for (region, theirs) in hello.lineages.iter() {
        let is_further = before.get(region).is_some_and(|ours| region != hello.region && theirs.is_past_of(ours));
        if !is_further {
            lineages.set(region, theirs.clone());
        }
    }
    lineages.set_belongs(belongs(hello).or(before.belongs()));
    if hello.lineages.get(hello.region).is_none() {
        // The publisher does not know lives.
        lineages.set(hello.region, Lineage::of(hello.head.incarnation));
    }
    Arc::new(lineages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        hlc::Hlc,
        lineage::Start,
        position::{Epoch, Position},
        record::{ChainHash, Payload, Record},
        token::Watermark,
    };
    use littoral_wire::records;

    const LOG: Incarnation = Incarnation(7);

    fn at(lsn: u64) -> Position {
        Position { incarnation: LOG, lsn: Lsn(lsn) }
    }

    /// Creates a replica at record 25.
    fn replica(holdings: &Holdings) -> Replica {
        let resume = Resume { position: at(25), chain: ChainHash(25) };
        let region = ("east".parse().expect("a region"), Arc::default());
        Replica::new(holdings, AppliedPoint::new(resume, Epoch(1), region, Watermark::default(), Arc::default()))
    }

    /// Creates an edge whose snapshot as of record 25 held a row of record 46.
    fn follower() -> FeedFollower {
        let holdings = Arc::new(Holdings { shards: 1, ..Holdings::default() });
        let replica = replica(&holdings);
        replica.holds(Lsn(46));
        let mut follower = FeedFollower::new("edge".to_owned(), holdings, Some(Arc::new(replica)));
        follower.connected(0, Duration::ZERO);
        follower
    }

    fn tail(head: u64, epoch: u64) -> Downstream {
        Downstream::Hello(PublisherHello {
            version: ProtocolVersion::NEWEST.number(),
            region: "east".parse().expect("a region"),
            epoch: Epoch(epoch),
            head: at(head),
            mode: Mode::Tail,
            rehomed: None,
            watermark: Watermark::default(),
            heartbeat_ms: 100,
            lineages: RegionLineages::default(),
            forked: None,
            cluster: None,
            succeeds: None,
            configured: Vec::new(),
        })
    }

    #[test]
    fn a_log_that_ends_before_a_held_row_is_not_followed() {
        let mut follower = follower();
        let violation = follower.receive(tail(34, 1)).expect_err("record 46 is not in that log");
        assert_eq!(violation, Violation::CutBack { head: Lsn(34), holds: Lsn(46) });
        follower.disconnected(&Fault::Violation(violation));
        assert_eq!(follower.connected(0, Duration::ZERO).resume, None, "a snapshot replaces what is held");
        let mut other = self::follower();
        assert!(matches!(other.receive(tail(46, 1)), Ok(Effect::Greeted(_))));
    }

    /// Creates a hello of a log that began this life at record 60.
    fn tail_of(life: u64) -> Downstream {
        let Downstream::Hello(mut hello) = tail(60, 1) else { unreachable!("`tail` creates a hello") };
        let start = Start { life: Incarnation(life), first: Lsn(60), after: LOG, shared: Lsn(59) };
        hello.head.incarnation = start.life;
        hello.lineages.entry(hello.region, LOG).begin(start);
        Downstream::Hello(hello)
    }

    #[test]
    fn a_relay_ends_its_streams_when_its_log_abandons_a_life_that_it_has_stated() {
        let mut follower = follower();
        let generation = |follower: &FeedFollower| follower.serving().map(|replica| replica.feed_generation());
        let mut seen = vec![generation(&follower)];
        for life in [8, 8, 9] {
            follower.connected(0, Duration::ZERO);
            follower.receive(tail_of(life)).expect("nothing that is held is lost");
            seen.push(generation(&follower));
        }
        assert_eq!((seen[1], seen[2]), (seen[0], seen[0]), "subscribers learn of a further life from its first record");
        assert_ne!(seen[3], seen[2], "record 60 now belongs to life 9, and subscribers attribute it to life 8");
    }

    #[test]
    fn a_hello_states_the_lineage_of_the_held_rows_although_a_snapshot_of_another_did_not_arrive() {
        let mut follower = follower();
        follower.receive(tail_of(8)).expect("nothing that is held is lost");
        follower.disconnected(&Fault::Lost);
        follower.connected(0, Duration::ZERO);
        let Downstream::Hello(mut restored) = tail_of(9) else { unreachable!("`tail_of` creates a hello") };
        restored.mode = Mode::Snapshot;
        follower.receive(Downstream::Hello(restored)).expect("a valid hello");
        follower.disconnected(&Fault::Lost);
        let hello = follower.connected(0, Duration::ZERO);
        assert!(
            hello.lineages.with_life(Incarnation(8)).is_some() && hello.lineages.with_life(Incarnation(9)).is_none()
        );
    }

    /// Measures the freshness at a publisher that knows only the log's first life, then installs another publisher's
    /// snapshot as of record 59, whose log has these lives after the first. Returns the freshness before and after, and
    /// after the other publisher has answered a ping.
    fn freshness_over_a_snapshot(lives: &[u64]) -> [Option<Duration>; 3] {
        let (first, second) = (Duration::from_secs(2), Duration::from_secs(3));
        let heard =
            |echo, head| Downstream::Heartbeat { clock: Hlc(1), head, echo, behind_us: Some(0), leader_lost: false };
        let mut follower = follower();
        follower.receive(tail(46, 1)).expect("a valid hello");
        follower.staleness.applied(Lsn(46));
        follower.tick(first);
        follower.receive(heard(1, at(46))).expect("an echo");
        let before = follower.staleness.fresh_at();
        follower.disconnected(&Fault::Lost);
        follower.connected(1, second);
        let Downstream::Hello(mut hello) = tail(59, 1) else { unreachable!("`tail` creates a hello") };
        hello.mode = Mode::Snapshot;
        let mut after = LOG;
        for life in lives {
            let start = Start { life: Incarnation(*life), first: Lsn(59), after, shared: Lsn(58) };
            hello.lineages.entry(hello.region, LOG).begin(start);
            after = start.life;
        }
        hello.head.incarnation = after;
        let (as_of, lineages) = (hello.head, hello.lineages.clone());
        follower.receive(Downstream::Hello(hello)).expect("a valid hello");
        let begin = Downstream::SnapshotBegin {
            as_of,
            chain: ChainHash(59),
            watermark: Watermark::default(),
            lineages,
            mixed: false,
            catalogue: Arc::default(),
            rows_estimate: 0,
        };
        follower.receive(begin).expect("the start of a snapshot");
        let served = follower.receive(Downstream::SnapshotEnd { rows: 0 }).expect("the end of a snapshot");
        let Effect::Serve { replaced: false, freshness_void, .. } = served else { panic!("not served: {served:?}") };
        let served = follower.staleness.fresh_at();
        assert_eq!(freshness_void, served.is_none());
        follower.tick(second);
        follower.receive(heard(2, as_of)).expect("an echo");
        [before, served, follower.staleness.fresh_at()]
    }

    #[test]
    fn freshness_measured_before_a_life_was_known_does_not_count_for_a_snapshot_with_that_life() {
        let (first, second) = (Some(Duration::from_secs(2)), Some(Duration::from_secs(3)));
        assert_eq!(freshness_over_a_snapshot(&[]), [first, first, second], "the same lives");
        // The first publisher was perhaps restored to an earlier state: life 8 began before it was measured.
        assert_eq!(freshness_over_a_snapshot(&[8]), [first, None, second]);
    }

    #[test]
    fn a_held_edge_offers_and_speaks_the_previous_version() {
        let (previous, newest) = (ProtocolVersion::PREVIOUS.number(), ProtocolVersion::NEWEST.number());
        let mut held = follower().speaking(ProtocolVersion::PREVIOUS);
        let Downstream::Hello(hello) = tail(50, 1) else { unreachable!("`tail` creates a hello") };
        let answer = |version| Downstream::Hello(PublisherHello { version, ..hello.clone() });
        assert_eq!(held.connected(0, Duration::ZERO).version_max, previous);
        assert!(matches!(held.receive(answer(previous)), Ok(Effect::Greeted(_))));
        held.disconnected(&Fault::Lost);
        assert_eq!(held.connected(0, Duration::ZERO).version_max, previous);
        assert_eq!(held.receive(answer(newest)).err(), Some(Violation::Version { theirs: newest }));
    }

    /// Measures the freshness at a publisher that knows only the log's first life, and then continues by the tail of
    /// one that knows another, which its hello states or which begins in its records. Returns the freshness before and
    /// after, and after the publisher has answered a ping.
    fn freshness_over_a_tail(hello_states_life: bool) -> [Option<Duration>; 3] {
        let (first, second) = (Duration::from_secs(2), Duration::from_secs(3));
        let heard =
            |echo, head| Downstream::Heartbeat { clock: Hlc(1), head, echo, behind_us: Some(0), leader_lost: false };
        let holdings = Arc::new(Holdings { shards: 1, ..Holdings::default() });
        let mut follower = FeedFollower::new("edge".to_owned(), holdings.clone(), Some(Arc::new(replica(&holdings))));
        follower.connected(0, Duration::ZERO);
        follower.receive(tail(25, 1)).expect("a valid hello");
        follower.tick(first);
        follower.receive(heard(1, at(25))).expect("an echo");
        let before = follower.freshness().flatten();
        let mut head = at(25);
        if hello_states_life {
            follower.disconnected(&Fault::Lost);
            follower.connected(1, second);
            let Downstream::Hello(hello) = tail_of(8) else { unreachable!("`tail_of` creates a hello") };
            head = hello.head;
            follower.receive(Downstream::Hello(hello)).expect("a valid hello");
        } else {
            let region: Region = "east".parse().expect("a region");
            let payload = Payload::Begin { life: Incarnation(8), after: LOG, shared: Lsn(25) };
            let mut record = Record {
                lsn: Lsn(26),
                epoch: Epoch(1),
                origin: region,
                origin_lsn: Lsn(26),
                hlc: Hlc(1),
                chain: ChainHash(0),
                payload,
            };
            record.chain = record.chain_after(ChainHash(25));
            let mut bytes = Vec::new();
            records::push(&mut bytes, &record).expect("a small record");
            let (lsn, chain_after, bytes) = (record.lsn, record.chain, bytes.into());
            let records = Downstream::Records { first: lsn, last: lsn, chain_after, bytes };
            assert!(matches!(follower.receive(records), Ok(Effect::Applied { .. })));
        }
        let after = follower.freshness().flatten();
        follower.tick(second);
        follower.staleness.applied(head.lsn);
        follower.receive(heard(2, head)).expect("an echo");
        [before, after, follower.freshness().flatten()]
    }

    #[test]
    fn freshness_measured_before_a_life_was_known_does_not_count_for_a_tail_with_that_life() {
        let (first, second) = (Some(Duration::from_secs(2)), Some(Duration::from_secs(3)));
        assert_eq!(freshness_over_a_tail(true), [first, None, second], "the hello states the life");
        assert_eq!(freshness_over_a_tail(false), [first, None, second], "a record begins the life");
    }

    #[test]
    fn rows_are_requested_only_after_a_hello() {
        let mut follower = follower();
        assert!(!follower.may_request_rows());
        follower.receive(tail(50, 1)).expect("a valid hello");
        assert!(follower.may_request_rows());
        follower.disconnected(&Fault::Lost);
        assert!(!follower.may_request_rows());
    }

    #[test]
    fn a_newer_epoch_counts_before_its_first_record() {
        let mut follower = follower();
        follower.receive(tail(50, 3)).expect("a valid hello");
        let epoch = follower.serving().map(|replica| replica.point.load().epoch);
        assert_eq!(epoch, Some(Epoch(3)), "the edge's own subscribers see it");
        follower.disconnected(&Fault::Lost);
        follower.connected(0, Duration::ZERO);
        let stale = follower.receive(tail(50, 2)).expect_err("it was replaced");
        assert_eq!(stale, Violation::StaleEpoch { theirs: Epoch(2), known: Epoch(3) });
    }
}
