//! Three regions, and an edge that moves between them. Leaders replicate each other's records, crash, fall behind a
//! trimmed log, and have clocks that disagree; streams break anywhere. A plain list of the writes that each region has
//! acknowledged is the model.

pub mod event;
mod judge;

use self::event::{Content, Events, Happening};
use crate::{
    leader::{self, Leader, RESIDENT},
    publish::{self, Publishing},
    random::Random,
    timeline::Timeline,
};
use littoral_edge_core::{
    Holdings,
    follower::{Effect, Fault, FeedFollower},
};
use littoral_leader_core::{
    Import, Imports, LogCommand,
    cross_region::{RegionFeed, Step},
    gives_catalogue,
};
use littoral_log::{Log as _, storage::Memory};
use littoral_model::{
    cluster::ClusterId,
    event_time::EventTime,
    hlc::Hlc,
    lineage::Lineage,
    merge::Rank,
    position::{Epoch, Incarnation, Lsn, Position},
    record::{Payload, Record},
    region::Region,
    token::Watermark,
    version::Version,
    view::ViewId,
};
use littoral_protocol::{
    frame::{Downstream, SubscriberHello},
    subscriber::Epochs,
};
use littoral_wire::{
    records::{self, ViewFilter},
    rows,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const COUNT: usize = 3;
const STEPS: u64 = 500;
/// The largest difference of clocks, in milliseconds.
const DRIFT_MS: u64 = 5_000;

/// One region's stream to another region, or to the edge.
struct Stream {
    feed: RegionFeed,
    publishing: Publishing,
    filter: ViewFilter,
    /// The rows of the snapshot that were sent.
    rows: u64,
}

/// An acknowledged write.
struct Acknowledged {
    position: Position,
    /// The log was rolled back, and no other region had the write.
    lost: bool,
    /// A log that was rolled back while it ran has accepted it before a peer proved the rollback: two records have its
    /// number.
    unknown: bool,
    view: ViewId,
    key: Vec<u8>,
    rank: Rank,
}

struct World {
    random: Random,
    now: Duration,
    leaders: Vec<Leader>,
    streams: BTreeMap<(usize, usize), Stream>,
    epochs: Vec<Epochs>,
    acknowledged: Vec<Vec<Acknowledged>>,
    /// Whether logs are rolled back in this world, and addresses are wrong.
    puts_back: bool,
    /// Whether faults have ended.
    healing: bool,
    /// Older copies of the leaders' disks.
    copies: Vec<Option<Memory>>,
    /// The leaders whose log was rolled back while they ran, without proof yet.
    put_back: Vec<bool>,
    /// The leaders whose log was rolled back while they ran, without proof before their process ended: two records
    /// share some of its numbers, and no region is asked for the lost records.
    unsure: Vec<bool>,
    /// How often a log was rolled back.
    put_backs: u64,
    edge: FeedFollower,
    /// The region that it follows.
    edge_at: Option<(usize, Publishing)>,
    edge_exact: Lsn,
    rehomed: u64,
    snapshots: u64,
    events: Events,
}

/// The counts of a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Conflicts found.
    pub conflicts: u64,
    /// How often the edge rehomed to another region's log.
    pub rehomed: u64,
    /// Snapshots that the edge received.
    pub snapshots: u64,
    /// How often a leader's log was rolled back.
    pub put_backs: u64,
}

fn name(at: usize) -> Region {
    ["asia", "east", "west"][at].parse().unwrap_or(Region::NONE)
}

/// Runs a seed.
///
/// # Errors
/// The invariant that was broken.
pub fn run(seed: u64) -> Result<Counts, String> {
    World::new(seed, false)?.live(seed)
}

/// Like [`run`], in a world in which logs are rolled back to older copies.
///
/// # Errors
/// The invariant that was broken.
pub fn run_put_back(seed: u64) -> Result<Counts, String> {
    World::new(seed, true)?.live(seed)
}

/// Runs a seed and keeps its events. Returns them with the outcome, which is that of [`run`], or of [`run_put_back`] if the world
/// `puts_back`.
pub fn trace(seed: u64, puts_back: bool) -> (Timeline<Happening>, Result<Counts, String>) {
    let mut world = match World::new(seed, puts_back) {
        Ok(world) => World { events: Events::kept(), ..world },
        Err(broken) => return (Timeline::default(), Err(broken)),
    };
    let outcome = world.live(seed);
    (world.events.all(), outcome)
}

impl World {
    fn new(seed: u64, puts_back: bool) -> Result<Self, String> {
        let mut leaders = Vec::new();
        for at in 0..COUNT {
            leaders.push(open(at, Memory::new(), seed, true)?);
        }
        let holdings = Arc::new(Holdings { shards: 4, hash_seed: Some(7), ..Holdings::default() });
        let mut world = Self {
            random: Random::new(seed),
            now: Duration::from_secs(1),
            leaders,
            streams: BTreeMap::new(),
            epochs: vec![Epochs::default(); COUNT],
            acknowledged: (0..COUNT).map(|_| Vec::new()).collect(),
            puts_back,
            healing: false,
            copies: (0..COUNT).map(|_| None).collect(),
            put_back: vec![false; COUNT],
            unsure: vec![false; COUNT],
            put_backs: 0,
            edge: FeedFollower::new("edge".to_owned(), holdings, None),
            edge_at: None,
            edge_exact: Lsn::NONE,
            rehomed: 0,
            snapshots: 0,
            events: Events::default(),
        };
        world.leaders[0].commit(Leader::views(), world.now)?;
        Ok(world)
    }

    fn live(&mut self, seed: u64) -> Result<Counts, String> {
        for step in 0..STEPS {
            self.now += Duration::from_millis(1 + self.random.below(20));
            self.step().map_err(|broken| format!("seed {seed}, step {step}: {broken}"))?;
            if step % 8 == 0 {
                self.check().map_err(|broken| format!("seed {seed}, step {step}: {broken}"))?;
            }
        }
        self.heal().map_err(|broken| format!("seed {seed}, healed: {broken}"))?;
        Ok(Counts {
            acknowledged: self.acknowledged.iter().map(|all| all.len() as u64).sum(),
            conflicts: self.leaders.iter().map(|leader| leader.ledger.iter().len() as u64).sum(),
            rehomed: self.rehomed,
            snapshots: self.snapshots,
            put_backs: self.put_backs,
        })
    }

    fn step(&mut self) -> Result<(), String> {
        let at = self.random.below(COUNT as u64) as usize;
        let from = (at + 1 + self.random.below(COUNT as u64 - 1) as usize) % COUNT;
        match self.random.below(100) {
            0..25 => self.write(at),
            25..70 => self.take(at, from),
            70..76 => {
                self.streams.remove(&(at, from));
                Ok(())
            }
            76..90 => self.follow(),
            90..94 => {
                self.edge_at = None;
                self.edge.disconnected(&Fault::Lost);
                Ok(())
            }
            94..96 => {
                let disk = self.leaders[at].disk.crash(self.random.any());
                self.reopen(at, disk)
            }
            // A region other than the catalogue home loses its disk, and starts over with what the others have.
            96 if at != 0 && self.random.one_in(3) => {
                (self.copies[at], self.unsure[at]) = (None, false);
                self.reopen(at, Memory::new())
            }
            96 if self.puts_back && self.random.one_in(2) => self.put_back(at),
            97 if self.puts_back && self.random.one_in(2) => {
                self.copies[at] = Some(self.leaders[at].disk.crash(self.random.any()));
                Ok(())
            }
            96..98 => {
                self.leaders[at].snapshot_to_disk();
                Ok(())
            }
            // Within the limit, so that no record is rejected for good.
            _ => {
                self.leaders[at].wall = self.random.below(DRIFT_MS / 2) as i64;
                Ok(())
            }
        }
    }

    fn write(&mut self, at: usize) -> Result<(), String> {
        if self.leaders[at].published.catalogue.view_by_id(RESIDENT).is_none() {
            return Ok(());
        }
        let count = 1 + self.random.below(3);
        let mut writes: Vec<_> = (0..count).map(|_| leader::write(&mut self.random, self.now)).collect();
        // Often the same event time: then the version decides.
        if self.random.one_in(2) {
            writes.iter_mut().for_each(|write| write.event_time = 1);
        }
        let leader = &mut self.leaders[at];
        let work = leader.check(leader::request(&writes, None), self.now).map_err(|error| error.to_string())?;
        let known: Vec<_> = writes.iter().map(|write| judge::rank_of(&leader.table, write.view, &write.key)).collect();
        let receipt = leader.commit(vec![work], self.now)?.remove(0).map_err(|error| error.to_string())?;
        let block = leader.records(receipt.first, 1 << 20)?;
        for (record, known) in records::iter(&block.bytes).zip(known) {
            let record = record.map_err(|error| error.to_string())?;
            if let Some((view, key, rank)) = content(&record) {
                // A version outranks every version that its writer had stored.
                if known.is_some_and(|known| known.version >= rank.version) {
                    return Err(format!("a write of region {} is not newer than one that it had stored", name(at)));
                }
                let position = leader.published.lives.get(name(at)).map(|lives| lives.position(record.lsn));
                let position = position.unwrap_or(receipt.position);
                self.events.note(self.now, || {
                    let key = key.first().copied().unwrap_or_default();
                    let content = Content { view: view.0, key, hlc: rank.version.hlc.0 };
                    Happening::Written { at, lsn: record.lsn, content, event_time: rank.event_time.0 }
                });
                self.acknowledged[at].push(Acknowledged {
                    position,
                    lost: false,
                    unknown: self.put_back[at],
                    view,
                    key: key.to_vec(),
                    rank,
                });
            }
        }
        Ok(())
    }

    /// Delivers one message from one region's leader to another's.
    fn take(&mut self, to: usize, from: usize) -> Result<(), String> {
        if !self.streams.contains_key(&(to, from)) {
            let known = self.leaders[to].published.known();
            let is_home = gives_catalogue(name(from), name(to), Some(name(0)), &known);
            let feed = RegionFeed::new(name(from), name(to), is_home, &known, &self.epochs[to]);
            let hello = feed.hello("leader");
            // An address may be another region's leader than the configured one.
            let astray = self.puts_back && !self.healing && self.random.one_in(30);
            let answers = if astray { COUNT - to - from } else { from };
            self.shown(answers, &hello)?;
            let source = &self.leaders[answers];
            let filter = ViewFilter::new(&hello.views, &source.published.catalogue, name(answers));
            let (message, publishing) = publish::greet(source, &hello, false);
            let Some(publishing) = publishing else { return Ok(()) };
            if let Downstream::Hello(answer) = &message {
                self.events.note(self.now, || Happening::Greeted {
                    to,
                    from: answers,
                    head: answer.head,
                    mode: answer.mode,
                    stood: hello.resume.map(|resume| resume.position),
                    holds: hello.holds,
                    forked: answer.forked.map(|fork| fork.position),
                });
                if answer.forked.is_some() {
                    self.ask_for_all(answers, to)?;
                }
            }
            self.streams.insert((to, from), Stream { feed, publishing, filter, rows: 0 });
            if astray {
                self.deliver(to, from, message)?;
                let refused = !self.streams.contains_key(&(to, from));
                return refused
                    .then_some(())
                    .ok_or_else(|| format!("{} follows {} as {}", name(to), name(answers), name(from)));
            }
            return self.deliver(to, from, message);
        }
        let Some(stream) = self.streams.get_mut(&(to, from)) else { return Ok(()) };
        match stream.publishing.next(&self.leaders[from]) {
            Ok(Some(message)) => {
                let message = filtered(message, &mut stream.filter, &mut stream.rows)?;
                self.deliver(to, from, message)
            }
            Ok(None) => Ok(()),
            Err(_) => {
                self.streams.remove(&(to, from));
                Ok(())
            }
        }
    }

    fn deliver(&mut self, to: usize, from: usize, message: Downstream) -> Result<(), String> {
        let Some(stream) = self.streams.get_mut(&(to, from)) else { return Ok(()) };
        let leader = &mut self.leaders[to];
        let step = match stream.feed.receive(message, &mut self.epochs[to], (&leader.published, &leader.table)) {
            Ok(step) => step,
            Err(fault) => {
                self.events.note(self.now, || Happening::StreamEnded { to, from, fault: fault.to_string() });
                self.streams.remove(&(to, from));
                return Ok(());
            }
        };
        if let Step::Submit { imports, done, .. } = step {
            for import in imports {
                self.events.note(self.now, || Happening::Imported {
                    to,
                    from,
                    head: leader.head().lsn,
                    records: event::listed(&import.records),
                    snapshot: import.snapshot,
                    through: import.through.map(|(lsn, _)| lsn),
                    seen: import.seen.len(),
                });
                let answered = leader.commit(vec![LogCommand::Import(import)], self.now)?.remove(0);
                // Records that cannot be imported yet are requested again on a new stream.
                if let Err(error) = answered {
                    self.events.note(self.now, || Happening::ImportRejected { to, from, reason: error.to_string() });
                    self.streams.remove(&(to, from));
                    return Ok(());
                }
            }
            stream.feed.done(&done, &mut self.epochs[to]);
        }
        Ok(())
    }

    /// Delivers one message to the edge, from the publisher that it follows.
    fn follow(&mut self) -> Result<(), String> {
        let message = match &mut self.edge_at {
            None => {
                let at = self.random.below(COUNT as u64) as usize;
                let hello = self.edge.connected(at, self.now);
                self.shown(at, &hello)?;
                let (message, publishing) = publish::greet(&self.leaders[at], &hello, false);
                self.edge_at = publishing.map(|publishing| (at, publishing));
                Some(message)
            }
            Some((at, publishing)) => match publishing.next(&self.leaders[*at]) {
                Ok(message) => message,
                Err(_) => {
                    self.edge_at = None;
                    self.edge.disconnected(&Fault::Lost);
                    None
                }
            },
        };
        let Some(message) = message else { return Ok(()) };
        match self.edge.receive(message) {
            Ok(Effect::Greeted(hello)) => {
                self.events.note(self.now, || Happening::EdgeGreeted {
                    region: hello.region,
                    mode: hello.mode,
                    head: hello.head,
                });
            }
            Ok(Effect::Rehomed { replica, hello }) => {
                let point = replica.point.load_full();
                self.events.note(self.now, || Happening::EdgeRehomed {
                    region: hello.region,
                    at: point.resume.position,
                    head: hello.head,
                    portable: point.portable_watermark.clone(),
                    beyond: point.beyond.clone(),
                });
                self.rehomed += 1;
                self.edge_exact = replica.exact_from();
            }
            Ok(Effect::Serve { replica, .. }) => {
                let (at, exact) = (replica.position(), replica.exact_from());
                self.events.note(self.now, || Happening::EdgeServes { at, exact });
                self.snapshots += 1;
                self.edge_exact = replica.exact_from();
            }
            Ok(Effect::Applied { block, level, position, .. }) => {
                self.events.note(self.now, || Happening::EdgeApplied { first: block.first, position, level });
                if level {
                    self.edge_exact = block.last;
                }
            }
            Ok(_) => {}
            Err(violation) => {
                self.events.note(self.now, || Happening::EdgeEndedStream { violation: violation.to_string() });
                self.edge_at = None;
                self.edge.disconnected(&Fault::Violation(violation));
            }
        }
        Ok(())
    }

    /// A hello proves to a leader that its log was rolled back; another life of it begins.
    fn shown(&mut self, at: usize, hello: &SubscriberHello) -> Result<(), String> {
        if !publish::is_put_back(&self.leaders[at], hello) {
            return Ok(());
        }
        self.events.note(self.now, || Happening::PutBackProved { at });
        let life = Incarnation(self.random.any() | 1 << 63);
        self.leaders[at]
            .commit(vec![LogCommand::Begin { life, rolled_back: true }], self.now)?
            .remove(0)
            .map_err(|e| e.to_string())?;
        (self.put_back[at], self.unsure[at]) = (false, false);
        Ok(())
    }

    /// Region `of` has records that the log of `at` has lost: requests its whole snapshot.
    fn ask_for_all(&mut self, at: usize, of: usize) -> Result<(), String> {
        let published = &self.leaders[at].published;
        let taken = published.origins.get(name(of)).is_some_and(|origin| origin.position != Position::default());
        let Some(lives) = published.lives.get(name(of)).filter(|_| taken).cloned() else { return Ok(()) };
        let work = LogCommand::Import(Import::nothing_taken(name(of), lives));
        self.leaders[at].commit(vec![work], self.now)?.remove(0).map_err(|error| error.to_string())?;
        self.streams.remove(&(at, of));
        Ok(())
    }

    /// Restores a leader's disk to an older copy: at its next start, or with the whole host, whose process does not
    /// notice.
    fn put_back(&mut self, at: usize) -> Result<(), String> {
        let Some(copy) = self.copies[at].clone() else { return Ok(()) };
        let begins = self.random.one_in(2);
        self.events.note(self.now, || Happening::PutBack { at, begins });
        let disk = copy.crash(self.random.any());
        self.reopen_as(at, disk, begins)?;
        self.put_back[at] = !begins;
        self.unsure[at] |= !begins;
        self.put_backs += 1;
        Ok(())
    }

    fn reopen(&mut self, at: usize, disk: Memory) -> Result<(), String> {
        self.reopen_as(at, disk, true)?;
        self.put_back[at] = false;
        Ok(())
    }

    fn reopen_as(&mut self, at: usize, disk: Memory, begins: bool) -> Result<(), String> {
        self.streams.retain(|(to, from), _| *to != at && *from != at);
        if self.edge_at.as_ref().is_some_and(|(followed, _)| *followed == at) {
            self.edge_at = None;
            self.edge.disconnected(&Fault::Lost);
        }
        let (wall, before) = (self.leaders[at].wall, self.leaders[at].head());
        let log_before = self.leaders[at].log.identity().incarnation;
        self.leaders[at] = open(at, disk, self.random.any(), begins)?;
        let log = self.leaders[at].log.identity().incarnation;
        // This world does not model that the region has the others' records before it announces so.
        if log != log_before {
            self.leaders[at].belongs.succeeds = Some(log_before);
        }
        self.leaders[at].wall = wall;
        // A record that no region has any more is lost.
        for of in 0..COUNT {
            for write in 0..self.acknowledged[of].len() {
                let held = self.leaders.iter().any(|leader| judge::has(&leader.table, &self.acknowledged[of][write]));
                self.acknowledged[of][write].lost |= !held;
            }
        }
        // A number that is not in the log any more is assigned again, in the same life.
        let (lives, head) = (self.leaders[at].published.lives.clone(), self.leaders[at].head().lsn);
        for write in self.acknowledged[at].iter_mut().filter(|_| !begins) {
            write.unknown |= !lives.get(name(at)).is_some_and(|lives| lives.has(write.position, head));
        }
        let after = self.leaders[at].head();
        self.events.note(self.now, || Happening::Restarted { at, before, after });
        Ok(())
    }

    /// Ends all faults: all regions reach the same rows, and no acknowledged write is lost.
    fn heal(&mut self) -> Result<(), String> {
        self.healing = true;
        self.edge_at = None;
        self.edge.disconnected(&Fault::Lost);
        for _ in 0..200 {
            for to in 0..COUNT {
                for from in (0..COUNT).filter(|from| *from != to) {
                    for _ in 0..3 {
                        self.take(to, from)?;
                    }
                }
            }
            self.now += Duration::from_millis(10);
        }
        for _ in 0..4_000 {
            self.follow()?;
        }
        self.check()?;
        let mut all = Watermark::default();
        for (at, leader) in self.leaders.iter().enumerate() {
            let head = leader.head();
            let lives = leader.published.lives.get(name(at)).cloned().unwrap_or_else(|| Lineage::of(head.incarnation));
            let here = |write: &&Acknowledged| !write.lost && !write.unknown && lives.has(write.position, head.lsn);
            if let Some(last) = self.acknowledged[at].iter().rfind(here) {
                all.set(name(at), last.position.incarnation, last.position.lsn);
            }
        }
        let first = judge::digests(&self.leaders[0].table);
        for (at, leader) in self.leaders.iter().enumerate() {
            if !leader.published.covers(&all) {
                return Err(format!("{} has '{}' of '{all}'", name(at), leader.published.watermark));
            }
            for (of, all) in self.acknowledged.iter().enumerate() {
                // Without proof that it was rolled back, a log does not request its lost records.
                let owed = |write: &&Acknowledged| !(write.lost || write.unknown && self.unsure[of]);
                if let Some(write) = all.iter().filter(owed).find(|write| !judge::has(&leader.table, write)) {
                    let (who, of, position) = (name(at), name(of), write.position);
                    return Err(format!("{who} lacks {position} of {of}, and it is not lost"));
                }
            }
            if judge::digests(&leader.table) != first && !self.unsure.contains(&true) {
                return Err(format!("the rows of {} differ from those of {}", name(at), name(0)));
            }
        }
        let edge = self.edge.serving().ok_or("the edge has no data")?;
        if judge::digests(&edge.table) != first && !self.unsure.contains(&true) {
            return Err("the rows of the edge differ from its leader's".to_owned());
        }
        Ok(())
    }
}

fn open(at: usize, disk: Memory, entropy: u64, begins: bool) -> Result<Leader, String> {
    let imports = Imports { catalogue_home: Some(name(0)), clock_drift_ms_max: DRIFT_MS, ..Imports::default() };
    let entropy = entropy.wrapping_mul(31).wrapping_add(at as u64);
    let mut leader = Leader::open_as(name(at), imports, disk, Epoch::FIRST, entropy, begins)?;
    leader.belongs.cluster = ClusterId(1);
    Ok(leader)
}

fn content<'a>(record: &Record<'a>) -> Option<(ViewId, &'a [u8], Rank)> {
    let rank = |event_time: EventTime, hlc: Hlc| Rank { event_time, version: Version { hlc, region: record.origin } };
    match record.payload {
        Payload::Row { view, event_time, key, .. } | Payload::Tombstone { view, event_time, key } => {
            Some((view, key, rank(event_time, record.hlc)))
        }
        _ => None,
    }
}

/// Filters out what the subscriber does not want, like the session of a feed.
fn filtered(message: Downstream, filter: &mut ViewFilter, sent: &mut u64) -> Result<Downstream, String> {
    Ok(match message {
        Downstream::Records { first, last, chain_after, bytes } => {
            let bytes = filter.apply(&bytes).map_err(|error| error.to_string())?;
            Downstream::Records { first, last, chain_after, bytes }
        }
        Downstream::SnapshotRows { bytes, .. } => {
            let (mut kept, mut count) = (Vec::new(), 0_u32);
            for row in rows::iter(&bytes) {
                let row = row.map_err(|error| error.to_string())?.ok_or("an empty row")?.to_row();
                if filter.wants_row(&row) {
                    rows::push(&mut kept, Some(&row)).map_err(|error| error.to_string())?;
                    count += 1;
                }
            }
            *sent += u64::from(count);
            Downstream::SnapshotRows { rows: count, bytes: kept.into() }
        }
        Downstream::SnapshotEnd { .. } => Downstream::SnapshotEnd { rows: *sent },
        other => other,
    })
}
