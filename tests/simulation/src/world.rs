//! The world: one seed decides what happens next, and the invariants are checked after each event.

use crate::{
    calls::Call,
    edge::{Edge, Received, StreamFault},
    event::{Event, StreamEnd},
    history::{History, Write},
    leader::{self, Leader},
    network::{Pipe, Stream, Target, encoded_down, encoded_up},
    publish::{self, Source},
    random::Random,
    report::{Failure, Report},
    sessions::{Read, Session},
    swarm::{self, Rule, Swarm},
    timeline::Timeline,
};
use bytes::Bytes;
use littoral_edge_core::{Replica, follower::Fault};
use littoral_log::{
    Log as _,
    storage::{Faults, Memory},
};
use littoral_model::{
    lineage::Lineage,
    position::{Epoch, Incarnation, Lsn},
    project::Receiver,
};
use littoral_protocol::{
    eligibility::OtherLog,
    frame::{Downstream, SubscriberHello, Upstream},
    subscriber::Violation,
};
use littoral_wire::feed;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(crate) const EDGES: usize = 3;
/// The edge that others may follow.
pub(crate) const RELAY: usize = 2;
/// The publishers of each edge, in its order.
const ADDRESSES: [&[Target]; EDGES] =
    [&[Target::Relay, Target::Leader], &[Target::Leader, Target::Relay], &[Target::Leader]];
const SESSIONS: usize = 2;
const STEPS: u64 = 300;
const HEALED_STEPS: u64 = 120;
const HEALED_ROUNDS: u64 = 25;

/// A copy of the leader's disk.
pub(crate) struct Backup {
    pub(crate) disk: Memory,
    /// The leader's epoch at that time.
    pub(crate) epoch: Epoch,
    /// The history of the leader at that time.
    pub(crate) log: Incarnation,
    /// As in [`World::reverted`].
    pub(crate) reverted: bool,
}

/// The whole world.
pub struct World {
    pub(crate) random: Random,
    pub(crate) now: Duration,
    pub(crate) leader: Leader,
    /// A replaced leader that still serves, whether or not it has noticed its replacement.
    pub(crate) old: Option<Leader>,
    /// The content of each log, and of each copy that continued separately, by the life that it began with.
    pub(crate) histories: BTreeMap<Incarnation, History>,
    /// The history to which each life belongs.
    pub(crate) logs: BTreeMap<Incarnation, Incarnation>,
    /// The history of the leader, and that of a leader that continues with another log.
    pub(crate) leader_log: Incarnation,
    pub(crate) old_log: Incarnation,
    /// Histories in whose last life two records share a number, because the leader was rolled back while it ran: a
    /// position there is ambiguous. Once the leader begins another life because of that, its history is a new one.
    pub(crate) ambiguous: BTreeSet<Incarnation>,
    /// The lives in which a leader ran after its host was restored to an earlier state.
    pub(crate) reverted_lives: BTreeSet<Incarnation>,
    /// Whether the leader was rolled back while it ran and has not noticed.
    pub(crate) reverted: bool,
    /// Whether the leader's host is reverted after each crash ([`swarm::reverts_after_crashes`]), and when next.
    pub(crate) reverts: bool,
    pub(crate) reverts_at: Option<Duration>,
    /// The last rejected writes, which may reappear from the disk.
    pub(crate) pending: Vec<Write>,
    /// An earlier state of the disk.
    pub(crate) backup: Option<Backup>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) streams: Vec<Option<Stream>>,
    pub(crate) calls: Vec<Call>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) reads: Vec<Read>,
    pub(crate) last_read: u64,
    /// The number of the newest stream.
    pub(crate) last_stream: u64,
    pub(crate) last_positions: Vec<(Option<Incarnation>, Lsn)>,
    /// Per edge, the log whose rows it holds, and the logs that an operator had it adopt.
    pub(crate) held_logs: Vec<(Option<Incarnation>, Vec<Incarnation>)>,
    pub(crate) healed: bool,
    /// Which faults are frequent; `None` if each is as frequent as in every other world.
    swarm: Option<Swarm>,
    /// The residency rule of one view, in worlds that have one.
    pub(crate) rule: Option<Rule>,
    events: Timeline<Event>,
}

/// Runs a seed.
///
/// # Errors
/// The invariant that does not hold.
pub fn run(seed: u64) -> Result<Report, Failure> {
    run_in(seed, false)
}

/// Runs a seed in a world in which faults of some kinds are frequent, and others never happen.
///
/// # Errors
/// The invariant that does not hold.
pub fn run_swarm(seed: u64) -> Result<Report, Failure> {
    run_in(seed, true)
}

fn run_in(seed: u64, swarm: bool) -> Result<Report, Failure> {
    let fail = |broken, events| Failure { seed, broken, events };
    let mut world = World::new(seed, swarm).map_err(|broken| fail(broken, Timeline::default()))?;
    match world.run() {
        Ok(()) => Ok(Report { events: world.events }),
        Err(broken) => Err(fail(broken, world.events)),
    }
}

impl World {
    fn new(seed: u64, swarm: bool) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let swarm = swarm.then(|| Swarm::new(&mut random));
        let leader = Leader::open(Memory::new(), Epoch::FIRST, random.any())?;
        let leader_log = leader.head().incarnation;
        let rule = swarm.as_ref().and_then(|_| Rule::of(seed));
        let edges = (0..EDGES)
            .map(|edge| Edge::new(random.ms(0, 10_000), edge == RELAY, rule.map(|rule| rule.region_of(edge))))
            .collect();
        let mut world = Self {
            random,
            now: Duration::from_secs(1),
            leader,
            old: None,
            logs: BTreeMap::new(),
            leader_log,
            old_log: leader_log,
            ambiguous: BTreeSet::new(),
            reverted_lives: BTreeSet::new(),
            reverted: false,
            reverts: swarm.is_some() && swarm::reverts_after_crashes(seed),
            reverts_at: None,
            histories: BTreeMap::new(),
            pending: Vec::new(),
            backup: None,
            edges,
            streams: (0..EDGES).map(|_| None).collect(),
            calls: Vec::new(),
            sessions: (0..SESSIONS).map(|_| Session::default()).collect(),
            reads: Vec::new(),
            last_read: 0,
            last_stream: 0,
            last_positions: vec![(None, Lsn::NONE); EDGES],
            held_logs: vec![(None, Vec::new()); EDGES],
            healed: false,
            swarm,
            rule,
            events: Timeline::default(),
        };
        if let Some(rule) = rule {
            world.note(Event::Ruled { outside: rule.outside, lies: rule.lies });
        }
        world.make_views()?;
        Ok(world)
    }

    /// Writes a log's first records: the views.
    pub(crate) fn make_views(&mut self) -> Result<(), String> {
        self.leader.commit(Leader::views(), self.now)?;
        if self.rule.is_some() {
            self.leader.commit(Leader::restricted_view(vec![leader::region()]), self.now)?;
        }
        self.leader_log = self.leader.head().incarnation;
        self.histories.insert(self.leader_log, History::default());
        self.record(Lsn::OLDEST)
    }

    /// Returns the history to which a life belongs.
    pub(crate) fn log_of(&self, life: Incarnation) -> Incarnation {
        self.logs.get(&life).copied().unwrap_or(life)
    }

    /// Returns the history that an edge's replica is checked against: that of the newest life that it has received.
    pub(crate) fn log_at(&self, replica: &Replica) -> Incarnation {
        self.log_of(newest_life(replica))
    }

    /// Records that another life of the leader's log has begun.
    pub(crate) fn note_new_life(&mut self) {
        self.logs.insert(self.leader.head().incarnation, self.leader_log);
    }

    /// Returns the leader's history.
    pub(crate) fn history(&self) -> &History {
        // Every log has a history from its first record on.
        &self.histories[&self.leader_log]
    }

    /// Records that the leader's new records are acknowledged.
    pub(crate) fn record(&mut self, from: Lsn) -> Result<(), String> {
        let entries = self.leader.entries(from, self.now)?;
        let history = self.histories.entry(self.leader_log).or_default();
        entries.into_iter().try_for_each(|entry| history.push(entry))
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step()?;
        }
        (self.healed, self.reverts) = (true, false);
        self.leader.disk.set_faults(Faults::default());
        self.drop_old();
        self.note(Event::Healed);
        // An edge that is far behind needs longer; an edge that is stuck stays stuck.
        for _ in 0..HEALED_ROUNDS {
            for _ in 0..HEALED_STEPS {
                self.step()?;
            }
            if self.replicas_converge_once_the_network_heals().is_ok() {
                break;
            }
        }
        self.replicas_converge_once_the_network_heals()
    }

    /// Records an event.
    pub(crate) fn note(&mut self, event: Event) {
        self.events.push(self.now, event);
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += self.random.ms(1, 10);
        if self.reverts_at.take_if(|at| *at <= self.now).is_some() && self.reverts {
            self.revert()?;
        }
        let edge = self.random.below(EDGES as u64) as usize;
        let drawn = self.random.below(if self.healed { 58 } else { 118 });
        match self.swarm.as_ref().map_or(drawn, |swarm| swarm.step_for(drawn, &mut self.random)) {
            0..10 => self.ping(edge)?,
            10..26 => self.begin_read(edge)?,
            26..54 => (0..EDGES).try_for_each(|edge| self.publish(edge))?,
            54..58 => self.leader.take_checkpoint(self.now),
            58..82 => self.write()?,
            82..85 => self.cut(edge, &Fault::Lost, StreamEnd::Cut),
            85..88 => self.stall(edge),
            88 => self.restart(edge),
            89..92 => {
                let faults = self.leader.fail(&mut self.random);
                self.note(Event::DiskFails(faults));
            }
            92..97 => {
                self.leader.disk.set_faults(Faults::default());
                self.note(Event::DiskWorks);
            }
            97..99 => self.crash()?,
            99 if self.random.one_in(2) => self.recreate_log()?,
            100..103 => {
                let outcome = self.leader.snapshot_to_disk();
                self.note(Event::Snapshot(outcome));
            }
            103..106 => self.corrupt(edge),
            106..109 => {
                self.leader.wall_offset_ms += self.random.below(1_200) as i64 - 600;
                self.note(Event::ClockJumped { ms: self.leader.wall_offset_ms });
            }
            109 => self.back_up(),
            110 if self.random.one_in(2) => self.restore()?,
            110 if self.random.one_in(2) => self.revert()?,
            111..118 => self.write_to_old()?,
            _ => {}
        }
        for edge in 0..EDGES {
            if self.streams[edge].is_none() && self.random.one_in(4) {
                self.connect(edge)?;
            }
            self.deliver(edge)?;
            self.continue_anti_entropy(edge)?;
        }
        self.deliver_calls()?;
        self.check_reads()?;
        self.check()
    }

    fn corrupt(&mut self, edge: usize) {
        let number = self.random.any();
        if self.edges[edge].corrupt(number) {
            self.note(Event::RowCorrupted { edge });
        }
    }

    fn continue_anti_entropy(&mut self, edge: usize) -> Result<(), String> {
        if self.random.one_in(3) {
            return Ok(());
        }
        match self.edges[edge].continue_scrub() {
            Ok(Some((corrupted, true))) => self.digests_equal_means_rows_equal(edge, &corrupted)?,
            Ok(_) => {}
            Err(_) => self.cut(edge, &Fault::RepairFailed, StreamEnd::RepairFailed),
        }
        self.continue_repair(edge);
        Ok(())
    }

    pub(crate) fn cut_all(&mut self, target: Target) {
        for edge in 0..EDGES {
            if self.streams[edge].as_ref().is_some_and(|stream| stream.target == target) {
                self.cut(edge, &Fault::Lost, StreamEnd::PublisherStopped);
            }
        }
    }

    pub(crate) fn cut(&mut self, edge: usize, fault: &Fault, cause: StreamEnd) {
        if self.streams[edge].take().is_none() {
            return;
        }
        self.edges[edge].disconnected(fault);
        self.cut_calls(edge, false);
        self.note(Event::StreamEnded { edge, cause });
    }

    fn stall(&mut self, edge: usize) {
        let until = self.now + self.random.ms(50, 300);
        if let Some(stream) = &mut self.streams[edge] {
            let pipe = if self.random.one_in(2) { &mut stream.up } else { &mut stream.down };
            pipe.pieces.push_back((until, Bytes::new()));
            self.note(Event::Stalled { edge });
        }
    }

    fn restart(&mut self, edge: usize) {
        self.streams[edge] = None;
        self.calls.retain(|call| call.edge != edge);
        self.reads.retain(|read| read.edge != edge);
        let region = self.edges[edge].region;
        self.edges[edge] = Edge::new(self.random.ms(0, 10_000), edge == RELAY, region);
        self.last_positions[edge] = (None, Lsn::NONE);
        self.held_logs[edge] = (None, Vec::new());
        self.note(Event::EdgeRestarted { edge });
        if edge == RELAY {
            self.cut_all(Target::Relay);
        }
    }

    pub(crate) fn arrival(&mut self) -> Duration {
        self.now + if self.healed { Duration::from_millis(1) } else { self.random.ms(1, 40) }
    }

    fn connect(&mut self, edge: usize) -> Result<(), String> {
        let addresses = ADDRESSES[edge];
        // The first address sometimes does not answer.
        let skipped = usize::from(self.random.one_in(5));
        let address = (self.edges[edge].follower.first_address() + skipped) % addresses.len();
        let mut target = addresses[address];
        if target == Target::Leader && self.old.is_some() && self.random.one_in(3) {
            target = Target::Old;
        }
        let hello = self.edges[edge].connected(address, self.now);
        let mut up = Pipe::new(littoral_wire::UPSTREAM_LEN_MAX);
        up.send(encoded_up(&Upstream::Hello(hello))?, self.arrival());
        let down = Pipe::new(littoral_wire::DOWNSTREAM_LEN_MAX);
        self.last_stream += 1;
        let (number, mixed) = (self.last_stream, self.is_mixed(target));
        let (greeted, tainted) = (false, BTreeSet::new());
        self.streams[edge] = Some(Stream { number, target, greeted, mixed, up, down, publishing: None, tainted });
        self.note(Event::Connected { edge, target, lsn: self.edges[edge].lsn() });
        Ok(())
    }

    fn ping(&mut self, edge: usize) -> Result<(), String> {
        let at = self.arrival();
        let now = self.edges[edge].now(self.now);
        let Some(stream) = &mut self.streams[edge] else { return Ok(()) };
        let (messages, _) = self.edges[edge].follower.tick(now);
        messages.iter().try_for_each(|message| {
            stream.up.send(encoded_up(message)?, at);
            Ok(())
        })
    }

    /// Returns whether the rows of a target may be of both histories of a log that was rolled back while its leader
    /// ran.
    pub(crate) fn is_mixed(&self, target: Target) -> bool {
        match target {
            Target::Leader => self.reverted || self.ambiguous.contains(&self.leader_log),
            Target::Old => self.ambiguous.contains(&self.old_log),
            Target::Relay => self.edges[RELAY].mixed,
        }
    }

    fn source(&self, target: Target) -> Option<&dyn Source> {
        match target {
            Target::Leader => Some(&self.leader),
            Target::Old => self.old.as_ref().map(|old| old as &dyn Source),
            Target::Relay => Some(&self.edges[RELAY]),
        }
    }

    /// Lets the publisher of an edge send its next messages, and heartbeats in between.
    fn publish(&mut self, edge: usize) -> Result<(), String> {
        for _ in 0..=self.random.below(3) {
            let at = self.arrival();
            let heartbeat = self.random.one_in(3);
            let Some(mut stream) = self.streams[edge].take() else { return Ok(()) };
            let sent = self.send(&mut stream, heartbeat, at);
            self.streams[edge] = Some(stream);
            if let Err(reason) = sent {
                self.cut(edge, &Fault::Lost, StreamEnd::PublisherFailed(reason));
            }
        }
        Ok(())
    }

    /// Sends one message. An error ends the stream.
    fn send(&self, stream: &mut Stream, heartbeat: bool, at: Duration) -> Result<(), String> {
        let (Some(publishing), Some(source)) = (&mut stream.publishing, self.source(stream.target)) else {
            return Ok(());
        };
        let message = if heartbeat { Some(publishing.heartbeat(source, self.now)) } else { publishing.next(source)? };
        if stream.target == Target::Relay
            && matches!(message, Some(Downstream::SnapshotBegin { .. } | Downstream::SnapshotRows { .. }))
        {
            stream.tainted.extend(&self.edges[RELAY].corrupted);
        }
        if let Some(message) = message {
            stream.down.send(encoded_down(&message)?, at);
        }
        Ok(())
    }

    fn deliver(&mut self, edge: usize) -> Result<(), String> {
        while let Some(stream) = &mut self.streams[edge]
            && let Some(payload) = stream.up.receive(self.now)?
        {
            match feed::upstream(&payload).map_err(|error| error.to_string())? {
                Upstream::Hello(hello) => self.greet(edge, &hello)?,
                message => {
                    let Some(publishing) = &mut stream.publishing else { continue };
                    publishing.session.receive(&message).map_err(|error| error.to_string())?;
                }
            }
        }
        let is_mixed = self.streams[edge].as_ref().is_some_and(|stream| self.is_mixed(stream.target));
        if let Some(stream) = &mut self.streams[edge] {
            stream.mixed |= is_mixed;
        }
        while let Some(stream) = &mut self.streams[edge]
            && let Some(payload) = stream.down.receive(self.now)?
        {
            let is_mixed = stream.mixed;
            let message = feed::downstream(&payload).map_err(|error| error.to_string())?;
            let is_honest = self.rule.is_some_and(|rule| !rule.lies);
            if is_honest && self.edges[edge].is_outside() && publish::has_restricted_row(&message) {
                return Err(format!("a row leaves the region that its project allows, to edge {edge}"));
            }
            match self.edges[edge].receive(message) {
                Ok(Received::Nothing) => {}
                Ok(Received::Greeted(log, epoch)) => {
                    self.streams[edge].iter_mut().for_each(|stream| stream.greeted = true);
                    self.an_older_epoch_is_never_followed(edge, log, epoch)?;
                }
                Ok(Received::Served) => {
                    self.edges[edge].mixed = is_mixed;
                    self.rows_are_not_replaced_by_another_log_without_an_operator(edge)?;
                    let tainted = self.streams[edge].as_ref().map(|stream| stream.tainted.clone());
                    self.edges[edge].corrupted = tainted.unwrap_or_default();
                    // An edge that has not noticed that a leader was replaced cannot know that it goes back with it.
                    if self.streams[edge].as_ref().is_some_and(|stream| stream.target == Target::Old) {
                        self.last_positions[edge] = (None, Lsn::NONE);
                    }
                    self.check()?;
                }
                Ok(Received::Applied) => {
                    self.edges[edge].mixed |= is_mixed;
                    self.note(Event::Applied { edge, through: self.edges[edge].lsn() });
                    self.check()?;
                }
                Err(StreamFault::EndedByPublisher(code)) => {
                    self.cut(edge, &Fault::Ended(code), StreamEnd::PublisherEnded(code))
                }
                Err(StreamFault::RepairFailed) => self.cut(edge, &Fault::RepairFailed, StreamEnd::RepairFailed),
                Err(StreamFault::Violation(violation)) => {
                    if let Violation::OtherLog(other) = &violation {
                        self.an_operator_checks(edge, other);
                    }
                    let cause = StreamEnd::Violation(violation.to_string());
                    self.cut(edge, &Fault::Violation(violation), cause);
                }
            }
        }
        Ok(())
    }

    /// An edge reports that its leader's address serves another log. Sooner or later an operator confirms that log, if
    /// it is the leader's, or mistakenly that of an old leader.
    fn an_operator_checks(&mut self, edge: usize, other: &OtherLog) {
        let is_leaders = other.log == self.leader.log.identity().incarnation;
        if (self.healed && is_leaders) || self.random.one_in(4) {
            self.edges[edge].follower.adopt(other.log);
            self.held_logs[edge].1.push(other.log);
            self.note(Event::Adopted { edge, log: other.log });
        }
    }

    /// Returns as what an edge counts for its publisher. A publisher that lies ignores where the edge is.
    fn receiver(&self, edge: usize) -> Receiver {
        let region = self.edges[edge].region;
        let lies = self.rule.is_some_and(|rule| rule.lies);
        Receiver::new(None, if lies { Some(leader::region()) } else { region }, None)
    }

    fn greet(&mut self, edge: usize, hello: &SubscriberHello) -> Result<(), String> {
        let at = self.arrival();
        let trimmed = self.random.one_in(6);
        let Some(mut stream) = self.streams[edge].take() else { return Ok(()) };
        if stream.target == Target::Leader {
            self.detect_rollback(edge, hello)?;
        }
        let receiver = self.receiver(edge);
        let greeted = self.source(stream.target).map(|source| publish::greet(source, hello, receiver, trimmed));
        let (message, publishing) = match greeted {
            Some((message, publishing)) => (Some(message), publishing),
            None => (None, None),
        };
        stream.publishing = publishing;
        if let Some(message) = &message {
            stream.down.send(encoded_down(message)?, at);
        }
        self.streams[edge] = Some(stream);
        if let Some(Downstream::Hello(answer)) = message {
            self.note(Event::Greeted { edge, mode: answer.mode, head: answer.head });
        }
        Ok(())
    }
}

/// Returns the newest life that a replica has received.
pub(crate) fn newest_life(replica: &Replica) -> Incarnation {
    let point = replica.point.load();
    point.lineages.get(point.region).map_or(point.resume.position.incarnation, Lineage::current)
}
