//! Three regions, and an edge that moves between them. Leaders replicate each other's records, crash, fall behind a
//! trimmed log, and have clocks that disagree; streams break anywhere. A plain list of the writes that each region has
//! acknowledged is the model.

mod checks;
pub mod event;
mod follow;
mod heal;
mod rollback;

use self::event::{Content, Event, EventLog};
use crate::{
    leader::{self, Leader, RESIDENT, RESTRICTED},
    publish::Publishing,
    random::Random,
    timeline::Timeline,
};
use littoral_edge_core::{
    Holdings,
    follower::{Fault, FeedFollower},
};
use littoral_leader_core::{AllowedRegions, cross_region::RegionFeed};
use littoral_log::storage::Memory;
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    merge::Rank,
    position::{Lsn, Position},
    record::{Payload, Record},
    region::Region,
    version::Version,
    view::ViewId,
};
use littoral_protocol::subscriber::Epochs;
use littoral_wire::records;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const COUNT: usize = 3;
const STEPS: u64 = 500;
/// The region that may not hold rows of [`RESTRICTED`].
const OUTSIDE: usize = 2;
/// Makes the draws of rules independent of a seed's other draws.
const RULES: u64 = 0x7265_7369_6465_6e63;
/// The largest difference of clocks, in milliseconds.
const DRIFT_MS: u64 = 5_000;

/// One region's stream to another region, or to the edge.
struct Stream {
    feed: RegionFeed,
    publishing: Publishing,
}

/// An acknowledged write.
struct Acknowledged {
    position: Position,
    /// The log was rolled back, and no other region had the write.
    lost: bool,
    /// A log that was rolled back while it ran has accepted it before a peer proved the rollback: two records have its
    /// number.
    ambiguous: bool,
    view: ViewId,
    /// The regions that count for `regions=N`, as its leader determined them when it accepted the write.
    allowed: AllowedRegions,
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
    with_rollbacks: bool,
    /// The residency rule of [`RESTRICTED`], in a world that has one.
    rule: Option<Rule>,
    /// Whether faults have ended.
    healing: bool,
    /// Older copies of the leaders' disks.
    copies: Vec<Option<Memory>>,
    /// The leaders whose log was rolled back while they ran, without proof yet.
    rolled_back: Vec<bool>,
    /// The leaders whose log was rolled back while they ran, and whose process ended before a region proved it. Some
    /// of the log's numbers then have two records, and the leader does not request the lost ones.
    ambiguous: Vec<bool>,
    /// How often a log was rolled back.
    rollbacks: u64,
    edge: FeedFollower,
    /// The region that it follows.
    edge_at: Option<(usize, Publishing)>,
    edge_exact: Lsn,
    rehomed: u64,
    snapshots: u64,
    events: EventLog,
}

/// The rows of [`RESTRICTED`] may not be in the region [`OUTSIDE`].
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// The region of the edge.
    edge_in: usize,
    /// Whether publishers send the rows to nodes outside anyway.
    lies: bool,
}

/// Which faults and rules a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No log is rolled back.
    Plain,
    /// Logs are rolled back to older copies, and addresses are wrong.
    Rollbacks,
    /// The rows of one view may not leave two of the regions.
    Restricted,
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
    pub rollbacks: u64,
}

fn name(at: usize) -> Region {
    ["asia", "east", "west"][at].parse().unwrap_or(Region::NONE)
}

/// Runs a seed.
///
/// # Errors
/// The invariant that was broken.
pub fn run(seed: u64) -> Result<Counts, String> {
    World::new(seed, Kind::Plain)?.run(seed)
}

/// Like [`run`], in a world in which logs are rolled back to older copies.
///
/// # Errors
/// The invariant that was broken.
pub fn run_rollbacks(seed: u64) -> Result<Counts, String> {
    World::new(seed, Kind::Rollbacks)?.run(seed)
}

/// Like [`run`], in a world in which the rows of one view may not leave two of the regions.
///
/// # Errors
/// The invariant that was broken.
pub fn run_restricted(seed: u64) -> Result<Counts, String> {
    World::new(seed, Kind::Restricted)?.run(seed)
}

/// Runs a seed in a world of this kind, and keeps its events. Returns them with the outcome.
pub fn trace(seed: u64, kind: Kind) -> (Timeline<Event>, Result<Counts, String>) {
    let mut world = match World::new(seed, kind) {
        Ok(world) => World { events: EventLog::kept(), ..world },
        Err(broken) => return (Timeline::default(), Err(broken)),
    };
    let outcome = world.run(seed);
    (world.events.all(), outcome)
}

impl World {
    fn new(seed: u64, kind: Kind) -> Result<Self, String> {
        let mut leaders = Vec::new();
        for at in 0..COUNT {
            leaders.push(rollback::open(at, Memory::new(), seed, true)?);
        }
        let rule = (kind == Kind::Restricted).then(|| {
            let mut random = Random::new(seed ^ RULES);
            Rule { edge_in: if random.one_in(2) { OUTSIDE } else { 0 }, lies: random.one_in(4) }
        });
        let region = rule.map(|rule| name(rule.edge_in));
        let holdings = Arc::new(Holdings { region, shards: 4, hash_seed: Some(7), ..Holdings::default() });
        let mut world = Self {
            random: Random::new(seed),
            now: Duration::from_secs(1),
            leaders,
            streams: BTreeMap::new(),
            epochs: vec![Epochs::default(); COUNT],
            acknowledged: (0..COUNT).map(|_| Vec::new()).collect(),
            with_rollbacks: kind == Kind::Rollbacks,
            rule,
            healing: false,
            copies: (0..COUNT).map(|_| None).collect(),
            rolled_back: vec![false; COUNT],
            ambiguous: vec![false; COUNT],
            rollbacks: 0,
            edge: FeedFollower::new("edge".to_owned(), holdings, None),
            edge_at: None,
            edge_exact: Lsn::NONE,
            rehomed: 0,
            snapshots: 0,
            events: EventLog::default(),
        };
        world.leaders[0].commit(Leader::views(), world.now)?;
        if rule.is_some() {
            let regions = (0..COUNT).filter(|at| *at != OUTSIDE).map(name).collect();
            world.leaders[0].commit(Leader::restricted_view(regions), world.now)?;
        }
        Ok(world)
    }

    fn run(&mut self, seed: u64) -> Result<Counts, String> {
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
            rollbacks: self.rollbacks,
        })
    }

    fn step(&mut self) -> Result<(), String> {
        let at = self.random.below(COUNT as u64) as usize;
        let from = (at + 1 + self.random.below(COUNT as u64 - 1) as usize) % COUNT;
        if self.rule.is_some() && at != OUTSIDE && self.random.one_in(8) {
            return self.write(at, Some(RESTRICTED));
        }
        match self.random.below(100) {
            0..25 => self.write(at, None),
            25..70 => self.replicate(at, from),
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
                (self.copies[at], self.ambiguous[at]) = (None, false);
                self.reopen(at, Memory::new())
            }
            96 if self.with_rollbacks && self.random.one_in(2) => self.roll_back(at),
            97 if self.with_rollbacks && self.random.one_in(2) => {
                self.copies[at] = Some(self.leaders[at].disk.crash(self.random.any()));
                Ok(())
            }
            96..98 => {
                self.leaders[at].snapshot_to_disk();
                Ok(())
            }
            // Within the limit, so that no record is rejected for good.
            _ => {
                self.leaders[at].wall_offset_ms = self.random.below(DRIFT_MS / 2) as i64;
                Ok(())
            }
        }
    }

    fn write(&mut self, at: usize, view: Option<ViewId>) -> Result<(), String> {
        let needed = view.unwrap_or(RESIDENT);
        if self.leaders[at].published.catalogue.view_by_id(needed).is_none() {
            return Ok(());
        }
        let count = 1 + self.random.below(3);
        let mut writes: Vec<_> = (0..count).map(|_| leader::write(&mut self.random, self.now)).collect();
        writes.iter_mut().for_each(|write| write.view = view.unwrap_or(write.view));
        // Often the same event time: then the version decides.
        if self.random.one_in(2) {
            writes.iter_mut().for_each(|write| write.event_time = 1);
        }
        let leader = &mut self.leaders[at];
        let command = leader.check(leader::request(&writes, None), self.now).map_err(|error| error.to_string())?;
        let known: Vec<_> = writes.iter().map(|write| checks::rank_of(&leader.table, write.view, &write.key)).collect();
        let allowed = AllowedRegions::of(&leader.published.catalogue, writes.iter().map(|write| write.view));
        let receipt = leader.commit(vec![command], self.now)?.remove(0).map_err(|error| error.to_string())?;
        let block = leader.records(receipt.first, 1 << 20)?;
        for (record, known) in records::iter(&block.bytes).zip(known) {
            let record = record.map_err(|error| error.to_string())?;
            if let Some((view, key, rank)) = content(&record) {
                // A version outranks every version that its writer had stored.
                if known.is_some_and(|known| known.version >= rank.version) {
                    return Err(format!("a write of region {} is not newer than one that it had stored", name(at)));
                }
                let position = leader.published.lineages.get(name(at)).map(|lineage| lineage.position(record.lsn));
                let position = position.unwrap_or(receipt.position);
                self.events.note(self.now, || {
                    let key = key.first().copied().unwrap_or_default();
                    let content = Content { view: view.0, key, hlc: rank.version.hlc.0 };
                    Event::Written { at, lsn: record.lsn, content, event_time: rank.event_time.0 }
                });
                self.acknowledged[at].push(Acknowledged {
                    position,
                    lost: false,
                    ambiguous: self.rolled_back[at],
                    view,
                    allowed: allowed.clone(),
                    key: key.to_vec(),
                    rank,
                });
            }
        }
        Ok(())
    }
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
