//! The world: one seed decides what happens next; the invariants are looked at after each event.

use crate::{
    edge::Edge,
    history::History,
    leader::{KEYS, Leader, RESIDENT, key, no_acknowledged_write_is_lost, region},
    network::{Fill, Pipe, Stream, encoded_down, encoded_up},
    random::Random,
};
use bytes::Bytes;
use littoral_log::{
    Log as _,
    storage::{Faults, Memory},
};
use littoral_model::{
    hlc::Hlc,
    merge::MergePolicy,
    position::{Epoch, Incarnation, Lsn},
    row::Row,
};
use littoral_protocol::{
    frame::{Downstream, Mode, Upstream},
    publisher::Publisher,
};
use littoral_replica::{Filled, Held};
use littoral_wire::{feed, rows};
use std::{fmt, sync::Arc, time::Duration};

pub(crate) const EDGES: usize = 3;
const STEPS: u64 = 250;
const HEALED_STEPS: u64 = 200;
const HEALED_ROUNDS: u64 = 10;

/// A seed that went through.
#[derive(Debug)]
pub struct Report {
    /// What happened.
    pub events: Vec<String>,
}

/// A seed that found something.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What does not hold.
    pub broken: String,
    /// What happened until then.
    pub events: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, broken, events } = self;
        write!(
            f,
            "seed {seed}, event {}: {broken}; replay: littoral-simulation --from {seed} --seeds 1 --events",
            events.len()
        )
    }
}

/// Everything there is.
pub struct World {
    random: Random,
    now: Duration,
    pub(crate) leader: Leader,
    pub(crate) history: History,
    pending: Option<crate::history::Commit>,
    pub(crate) edges: Vec<Edge>,
    streams: Vec<Option<Stream>>,
    fills: Vec<Fill>,
    pub(crate) seen: Vec<(Option<Incarnation>, Lsn)>,
    healed: bool,
    events: Vec<String>,
}

/// Runs a seed.
///
/// # Errors
/// The invariant that does not hold.
pub fn run(seed: u64) -> Result<Report, Failure> {
    let fail = |broken, events| Failure { seed, broken, events };
    let mut world = World::new(seed).map_err(|broken| fail(broken, Vec::new()))?;
    match world.live() {
        Ok(()) => Ok(Report { events: world.events }),
        Err(broken) => Err(fail(broken, world.events)),
    }
}

impl World {
    fn new(seed: u64) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let leader = Leader::open(Memory::new(), Epoch::FIRST, random.any())?;
        let edges = (0..EDGES).map(|_| Edge::new(random.ms(0, 10_000))).collect();
        Ok(Self {
            random,
            now: Duration::from_secs(1),
            leader,
            history: History::default(),
            pending: None,
            edges,
            streams: (0..EDGES).map(|_| None).collect(),
            fills: Vec::new(),
            seen: vec![(None, Lsn::NONE); EDGES],
            healed: false,
            events: Vec::new(),
        })
    }

    fn live(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step()?;
        }
        self.healed = true;
        self.leader.disk.set_faults(Faults::default());
        self.note("the network and the disk heal".to_owned());
        // Who lags far behind needs longer; who is stuck is stuck for ever.
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

    fn note(&mut self, event: String) {
        self.events.push(format!("{:>6} ms  {event}", self.now.as_millis()));
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += self.random.ms(1, 10);
        let edge = self.random.below(EDGES as u64) as usize;
        match self.random.below(if self.healed { 50 } else { 100 }) {
            0..10 => self.ping(edge)?,
            10..20 => self.read(edge)?,
            20..50 => self.publish(edge)?,
            50..78 => self.write(),
            78..84 if self.streams[edge].is_some() => self.cut(edge, None, "cut"),
            84..87 => {
                let until = self.now + self.random.ms(50, 300);
                if let Some(stream) = &mut self.streams[edge] {
                    let pipe = if self.random.one_in(2) { &mut stream.up } else { &mut stream.down };
                    pipe.pieces.push_back((until, Bytes::new()));
                    self.note(format!("edge {edge}: one way stalls"));
                }
            }
            87..90 => self.restart(edge),
            90..93 => {
                let faults = self.leader.fail(&mut self.random);
                self.note(format!("the disk: {faults:?}"));
            }
            93..96 => {
                self.leader.disk.set_faults(Faults::default());
                self.note("the disk is well again".to_owned());
            }
            96..99 => self.crash()?,
            99 => self.begin_anew()?,
            _ => {}
        }
        if self.streams[edge].is_none() {
            self.connect(edge)?;
        }
        for edge in 0..EDGES {
            self.deliver(edge)?;
        }
        self.deliver_fills()?;
        self.check()
    }

    fn write(&mut self) {
        match self.leader.write(&mut self.random, self.now) {
            Ok(commit) => {
                self.note(format!("record {} is acknowledged", commit.lsn));
                self.pending = None;
                self.history.push(commit);
            }
            Err((commit, reason)) => {
                self.note(format!("record {} is refused: {reason}", commit.lsn));
                self.pending = Some(commit);
            }
        }
    }

    fn crash(&mut self) -> Result<(), String> {
        let left = self.leader.disk.crash(self.random.any());
        let epoch = self.leader.epoch.next();
        self.leader = Leader::open(left, epoch, self.random.any())
            .map_err(|error| format!("a loss of power must not keep the log from opening: {error}"))?;
        let found = self.leader.read_all()?;
        no_acknowledged_write_is_lost(&found, &mut self.history, self.pending.take().as_ref(), self.now)?;
        self.note(format!("the leader lost power and is back at {} under epoch {epoch}", self.leader.head()));
        self.cut_all();
        Ok(())
    }

    /// The disk is lost, and with it everything: another life of the log begins.
    fn begin_anew(&mut self) -> Result<(), String> {
        self.leader = Leader::open(Memory::new(), Epoch::FIRST, self.random.any())?;
        (self.history, self.pending) = (History::default(), None);
        self.note("the leader lost its disk and begins anew".to_owned());
        self.cut_all();
        Ok(())
    }

    fn cut_all(&mut self) {
        for edge in 0..EDGES {
            if self.streams[edge].is_some() {
                self.cut(edge, None, "the leader is gone");
            }
        }
    }

    fn cut(&mut self, edge: usize, violation: Option<&littoral_protocol::subscriber::Violation>, why: &str) {
        self.streams[edge] = None;
        self.edges[edge].disconnected(violation);
        self.note(format!("edge {edge}: the stream ended: {why}"));
    }

    fn restart(&mut self, edge: usize) {
        self.streams[edge] = None;
        self.fills.retain(|fill| fill.edge != edge);
        self.edges[edge] = Edge::new(self.random.ms(0, 10_000));
        self.seen[edge] = (None, Lsn::NONE);
        self.note(format!("edge {edge} restarts with nothing"));
    }

    fn arrival(&mut self) -> Duration {
        self.now + if self.healed { Duration::from_millis(1) } else { self.random.ms(1, 40) }
    }

    fn connect(&mut self, edge: usize) -> Result<(), String> {
        let hello = self.edges[edge].subscribe();
        let mut up = Pipe::new(littoral_wire::UPSTREAM_LEN_MAX);
        up.send(encoded_up(&Upstream::Hello(hello))?, self.arrival());
        self.streams[edge] = Some(Stream { up, down: Pipe::new(littoral_wire::DOWNSTREAM_LEN_MAX), session: None });
        self.note(format!("edge {edge} connects at {}", self.edges[edge].lsn()));
        Ok(())
    }

    fn ping(&mut self, edge: usize) -> Result<(), String> {
        let at = self.arrival();
        let clock = self.now + self.edges[edge].clock;
        if let Some(stream) = &mut self.streams[edge]
            && let Some(seq) = self.edges[edge].staleness.ping(clock)
        {
            stream.up.send(encoded_up(&Upstream::Ping { seq })?, at);
        }
        Ok(())
    }

    /// The leader sends what is next: records, or a heartbeat.
    fn publish(&mut self, edge: usize) -> Result<(), String> {
        let at = self.arrival();
        let heartbeat = self.random.one_in(3);
        let Some(stream) = &mut self.streams[edge] else { return Ok(()) };
        let Some(session) = &mut stream.session else { return Ok(()) };
        let head = self.leader.head();
        if heartbeat {
            let echo = session.echo();
            let clock = Hlc::new(self.now.as_millis() as u64, 0);
            let beat = Downstream::Heartbeat { clock, head, echo, behind_us: Some(0), leader_lost: false };
            stream.down.send(encoded_down(&beat)?, at);
        } else if let Some(next) = session.next(head.lsn) {
            let block = self.leader.log.read(next, 300).map_err(|error| error.to_string())?;
            let chain_after = littoral_wire::records::last_chain(&block.bytes)
                .map_err(|error| error.to_string())?
                .ok_or("the log gave no record where one was due")?;
            session.records_sent(block.last);
            let message = Downstream::Records { first: block.first, last: block.last, chain_after, bytes: block.bytes };
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
                    let session = stream.session.as_mut().ok_or("a message came before the hello")?;
                    session.receive(&message).map_err(|error| error.to_string())?;
                }
            }
        }
        while let Some(stream) = &mut self.streams[edge]
            && let Some(payload) = stream.down.receive(self.now)?
        {
            let message = feed::downstream(&payload).map_err(|error| error.to_string())?;
            match self.edges[edge].take(message) {
                Ok(true) => self.check()?,
                Ok(false) => self.cut(edge, None, "the leader ended it"),
                Err(violation) => self.cut(edge, Some(&violation), &violation.to_string()),
            }
        }
        Ok(())
    }

    fn greet(&mut self, edge: usize, hello: &littoral_protocol::frame::SubscriberHello) -> Result<(), String> {
        let head = self.leader.head();
        let publisher = Publisher { region: region(), epoch: self.leader.epoch, head, heartbeat_ms: 100, relay: false };
        // As if the log had been trimmed that far.
        let oldest = if self.random.one_in(5) { head.lsn } else { Lsn::NONE };
        let chain_at = |lsn| self.leader.log.chain_at(lsn).ok().flatten().filter(|_| lsn >= oldest);
        let (answer, mut session) = publisher.greet(hello, chain_at).map_err(|error| error.to_string())?;
        let mut messages = vec![Downstream::Hello(answer.clone())];
        if answer.mode == Mode::Snapshot {
            let (as_of, chain, chunks) = self.leader.snapshot();
            let rows = chunks.iter().map(|(rows, _)| u64::from(*rows)).sum();
            messages.push(Downstream::SnapshotBegin { as_of, chain, catalogue: Arc::default(), rows_estimate: rows });
            messages.extend(chunks.into_iter().map(|(rows, bytes)| Downstream::SnapshotRows { rows, bytes }));
            messages.push(Downstream::SnapshotEnd { rows });
            session.snapshot_sent(as_of.lsn);
        }
        self.note(format!("edge {edge} is greeted: {:?} at {head}", answer.mode));
        for message in messages {
            let at = self.arrival();
            if let Some(stream) = &mut self.streams[edge] {
                stream.down.send(encoded_down(&message)?, at);
            }
        }
        if let Some(stream) = &mut self.streams[edge] {
            stream.session = Some(session);
        }
        Ok(())
    }

    /// A key of the resident view is read; what is not known is asked for.
    fn read(&mut self, edge: usize) -> Result<(), String> {
        let key = key(self.random.below(KEYS));
        let Some((table, _)) = &self.edges[edge].replica else { return Ok(()) };
        if matches!(table.get(RESIDENT, &key), Held::Unknown) && self.streams[edge].is_some() {
            self.ask(edge, key)?;
        }
        Ok(())
    }

    fn ask(&mut self, edge: usize, key: Vec<u8>) -> Result<(), String> {
        let row = match self.leader.table.get(RESIDENT, &key) {
            Held::Row(row) => Some(row),
            Held::Absent | Held::Unknown => None,
        };
        let head = self.leader.head();
        let mut block = Vec::new();
        rows::push(&mut block, row.as_ref()).map_err(|error| error.to_string())?;
        // Some answers outlive the stream beside which they were asked for.
        let slow = if !self.healed && self.random.one_in(4) { self.random.ms(50, 500) } else { Duration::ZERO };
        let at = self.arrival() + slow;
        self.note(format!("edge {edge} is answered as of {}", head.lsn));
        self.fills.push(Fill { edge, key, incarnation: head.incarnation, as_of: head.lsn, block, at });
        Ok(())
    }

    fn deliver_fills(&mut self) -> Result<(), String> {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.fills).into_iter().partition(|fill| fill.at <= now);
        self.fills = later;
        let due: Vec<Fill> = due;
        for Fill { edge, key, incarnation, as_of, block, .. } in due {
            let Some((table, resume)) = &self.edges[edge].replica else { continue };
            // An answer of another life of the log is of no use.
            if resume.position.incarnation != incarnation {
                continue;
            }
            let row: Option<Row> = rows::iter(&block)
                .next()
                .ok_or("an answer had no entry")?
                .map_err(|error| error.to_string())?
                .map(|row| row.to_row());
            let filled = table.fill(RESIDENT, &key, row, as_of, MergePolicy::LatestEvent);
            self.note(format!("edge {edge}: a fill as of {as_of}: {filled:?}"));
            if matches!(filled, Filled::Overtaken { .. }) && self.leader.head().incarnation == incarnation {
                self.ask(edge, key)?;
            }
        }
        Ok(())
    }
}
