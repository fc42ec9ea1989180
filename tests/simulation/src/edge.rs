//! An edge: the product's core, and what its tasks do with the core's effects.

use crate::leader::KEYS;
use littoral_edge_core::{
    FeedFollower, Holdings, Replica, ViewMode,
    anti_entropy::{self, Repair},
    fills::{Fills, Waiter},
    follower::{Effect, Fault},
    read::KeyIndex,
    relay::Relay,
};
use littoral_model::{
    digest::{BucketRows, Checkpoints},
    lineage::Lineage,
    position::{Epoch, Incarnation, Lsn},
};
use littoral_protocol::{
    anti_entropy::{AntiEntropy, Step},
    frame::{Downstream, ErrorCode, SubscriberHello},
    subscriber::Violation,
};
use littoral_replica::Scrub;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// Records that a relay keeps, in bytes: few, so that some who were away need a snapshot.
const RELAY_BYTES: usize = 2 << 10;

/// A place of an open read.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The read.
    pub read: u64,
    /// The place.
    pub place: KeyIndex,
    /// Whether the read was given up.
    pub gone: Rc<Cell<bool>>,
}

impl Waiter for Asker {
    fn is_gone(&self) -> bool {
        self.gone.get()
    }
}

/// Why the world must end a stream.
#[derive(Debug)]
pub enum Ends {
    /// The publisher did what it may not.
    Violation(Violation),
    /// The publisher ended it.
    Told(ErrorCode),
    /// Repair has not helped.
    GivenUp,
}

/// One life of an edge's process.
pub struct Edge {
    /// What it decides.
    pub follower: FeedFollower,
    /// Keys on their way.
    pub fills: Fills<Asker>,
    /// What it passes on.
    pub relay: Relay,
    /// The leader's digests, for those who follow.
    pub checkpoints: Checkpoints,
    /// Its proof.
    pub anti_entropy: AntiEntropy,
    /// What it states of its freshness, by its own clock.
    pub fresh_at: Option<Duration>,
    /// What its clock shows when the world begins.
    pub clock: Duration,
    /// Rows of the full view that have changed in memory.
    pub rotten: BTreeSet<u64>,
    /// Rows that are being added up: for which round of the proof, and which were rotten when that began.
    pub scrub: Option<(u64, Scrub, BTreeSet<u64>)>,
    /// Buckets that are being mended, and what has come for them and is not applied here yet.
    pub repair: Option<(Repair, Option<BucketRows>)>,
    /// The newest epoch that it was greeted with, by log.
    pub epochs: BTreeMap<Incarnation, Epoch>,
}

/// What a message has led to, for the world.
#[derive(Debug, PartialEq, Eq)]
pub enum Took {
    /// Nothing that invariants speak of.
    Nothing,
    /// The publisher has answered, under this epoch.
    Greeted(Incarnation, Epoch),
    /// Another replica is served.
    Served,
    /// Records were applied.
    Applied,
}

impl Edge {
    /// An edge that has nothing. A relay holds every row of every view.
    #[must_use]
    pub fn new(clock: Duration, relays: bool) -> Self {
        let mode = if relays { ViewMode::Full } else { ViewMode::Resident };
        let holdings = Holdings {
            views: BTreeMap::from([("resident".to_owned(), mode)]),
            shards: 4,
            hash_seed: Some(11),
            ..Holdings::default()
        };
        Self {
            follower: FeedFollower::new("edge".to_owned(), Arc::new(holdings), None),
            fills: Fills::new(100, 2),
            relay: Relay::new(if relays { RELAY_BYTES } else { 0 }),
            checkpoints: Checkpoints::default(),
            anti_entropy: AntiEntropy::default(),
            fresh_at: None,
            clock,
            rotten: BTreeSet::new(),
            scrub: None,
            repair: None,
            epochs: BTreeMap::new(),
        }
    }

    /// What it serves.
    #[must_use]
    pub fn replica(&self) -> Option<&Arc<Replica>> {
        self.follower.serving()
    }

    /// Everything up to here is applied.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.replica().map_or(Lsn::NONE, |replica| replica.position().lsn)
    }

    /// Its clock.
    #[must_use]
    pub fn now(&self, now: Duration) -> Duration {
        now + self.clock
    }

    /// A new stream begins.
    pub fn connected(&mut self, address: usize, now: Duration) -> SubscriberHello {
        self.follower.connected(address, self.now(now))
    }

    /// A message has come.
    ///
    /// # Errors
    /// Why the stream must end.
    pub fn take(&mut self, message: Downstream) -> Result<Took, Ends> {
        let took = match self.follower.receive(message).map_err(Ends::Violation)? {
            Effect::Greeted(hello) => {
                let life = hello.lives.get(hello.region).map_or(hello.head.incarnation, Lineage::current);
                return Ok(Took::Greeted(life, hello.epoch));
            }
            Effect::SnapshotBegun | Effect::RowsAdded(_) | Effect::Nothing => Took::Nothing,
            // This world has one region.
            Effect::Rehomed { .. } => return Err(Ends::GivenUp),
            Effect::Serve { replica, replaced, .. } => {
                if replaced {
                    self.fresh_at = None;
                }
                self.anti_entropy.restart(replica.exact_from());
                self.checkpoints.clear();
                self.relay.restart(replica.point.load().resume);
                (self.scrub, self.repair) = (None, None);
                Took::Served
            }
            Effect::Applied { block, position, .. } => {
                self.relay.applied(&block, position);
                Took::Applied
            }
            Effect::Heard { .. } => Took::Nothing,
            Effect::Compare(checkpoint) => {
                let Some(replica) = self.follower.serving().cloned() else { return Ok(Took::Nothing) };
                self.checkpoints.push((*checkpoint).clone());
                let (_, step) = anti_entropy::compare(&mut self.anti_entropy, &replica.table, &checkpoint);
                self.carry_out(step)?;
                Took::Nothing
            }
            Effect::End { code, .. } => return Err(Ends::Told(code)),
        };
        if let Some(at) = self.follower.freshness() {
            self.fresh_at = at;
        }
        Ok(took)
    }

    fn carry_out(&mut self, step: Option<Step>) -> Result<(), Ends> {
        match step {
            None => {}
            Some(Step::Snapshot) => return Err(Ends::GivenUp),
            Some(Step::Scrub { round }) => {
                match self.follower.serving().and_then(|replica| replica.table.begin_scrub()) {
                    Some(scrub) => self.scrub = Some((round, scrub, self.rotten.clone())),
                    None => self.anti_entropy.not_scrubbed(round),
                }
            }
            Some(Step::Repair { round, buckets }) => self.repair = Some((Repair::new(round, buckets), None)),
        }
        Ok(())
    }

    /// Goes on with adding up. When that has ended: the keys that were rotten when it began, and whether it found nothing.
    ///
    /// # Errors
    /// Why the stream must end.
    pub fn scrub_on(&mut self) -> Result<Option<(BTreeSet<u64>, bool)>, Ends> {
        let Some((round, mut scrub, rotten)) = self.scrub.take() else { return Ok(None) };
        if scrub.advance() {
            self.scrub = Some((round, scrub, rotten));
            return Ok(None);
        }
        let (_, step) = anti_entropy::scrubbed(&mut self.anti_entropy, round, scrub);
        let found_nothing = step.is_none();
        self.carry_out(step)?;
        Ok(Some((rotten, found_nothing)))
    }

    /// The stream has ended.
    pub fn disconnected(&mut self, fault: &Fault) {
        self.follower.disconnected(fault);
    }

    /// The memory policy lets go of a row of the resident view.
    pub fn evict(&self, number: u64) {
        if let Some(replica) = self.replica() {
            replica.table.forget(crate::leader::RESIDENT, &crate::leader::key(number));
        }
    }

    /// Rows that had changed in memory were written over. One that changes once more concerns no scrub that is under way: it
    /// may have passed there.
    pub fn healed(&mut self, healed: &BTreeSet<u64>) {
        self.rotten.retain(|number| !healed.contains(number));
        if let Some((_, _, rotten)) = &mut self.scrub {
            rotten.retain(|number| !healed.contains(number));
        }
    }

    /// A row of the full view changes in memory. Whether there was one.
    pub fn rot(&mut self, number: u64) -> bool {
        let key = crate::leader::key(number % KEYS);
        let rots = self.replica().is_some_and(|replica| replica.table.corrupt(crate::leader::FULL, &key));
        if rots {
            self.rotten.insert(number % KEYS);
        }
        rots
    }
}
