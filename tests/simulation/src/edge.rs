//! An edge: the product's core, and the code that carries out the core's effects.

use crate::{leader::KEYS, publish};
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
    region::Region,
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

/// The records that a relay keeps, in bytes: few, so that some returning subscribers need a snapshot.
const RELAY_BYTES: usize = 2 << 10;

/// A key of a read that waits for its fill.
#[derive(Clone, Debug)]
pub struct WaitingKey {
    /// The read.
    pub read: u64,
    /// The index of the key.
    pub index: KeyIndex,
    /// Whether the read was abandoned.
    pub abandoned: Rc<Cell<bool>>,
}

impl Waiter for WaitingKey {
    fn is_gone(&self) -> bool {
        self.abandoned.get()
    }
}

/// Why the world ends a stream.
#[derive(Debug)]
pub enum StreamFault {
    /// The publisher violated the protocol.
    Violation(Violation),
    /// The publisher ended it.
    EndedByPublisher(ErrorCode),
    /// Repairs did not make the rows equal, or the edge would have to rehome.
    RepairFailed,
}

/// One lifetime of an edge's process.
pub struct Edge {
    /// The core.
    pub follower: FeedFollower,
    /// The fills in flight.
    pub fills: Fills<WaitingKey>,
    /// What it publishes as a relay.
    pub relay: Relay,
    /// The leader's digests, for subscribers of a relay.
    pub checkpoints: Checkpoints,
    /// Its anti-entropy.
    pub anti_entropy: AntiEntropy,
    /// The freshness that it states, by its own clock.
    pub fresh_at: Option<Duration>,
    /// The reading of its clock at the start of the world.
    pub clock: Duration,
    /// Rows of the full view that are corrupted in memory.
    pub corrupted: BTreeSet<u64>,
    /// The running scrub: its anti-entropy round, and the rows that were corrupted when it began.
    pub scrub: Option<(u64, Scrub, BTreeSet<u64>)>,
    /// The running repair, and the rows of a bucket that were received but not applied.
    pub repair: Option<(Repair, Option<BucketRows>)>,
    /// The newest epoch in a hello that it received, by log.
    pub epochs: BTreeMap<Incarnation, Epoch>,
    /// Whether it may hold rows of both histories of a log that was rolled back while its leader ran.
    pub mixed: bool,
    /// Its region, in worlds with a residency rule.
    pub region: Option<Region>,
    /// Whether it has kept a record of a row for its subscribers that its region may not hold.
    pub has_leaked: bool,
}

/// The result of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing that invariants check.
    Nothing,
    /// The publisher has sent its hello, under this epoch.
    Greeted(Incarnation, Epoch),
    /// The edge serves another replica.
    Served,
    /// Records were applied.
    Applied,
}

impl Edge {
    /// Creates an edge without data. A relay holds every row of every view that its region may hold.
    #[must_use]
    pub fn new(clock: Duration, relays: bool, region: Option<Region>) -> Self {
        let mode = if relays { ViewMode::Full } else { ViewMode::Resident };
        let holdings = Holdings {
            region,
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
            corrupted: BTreeSet::new(),
            scrub: None,
            repair: None,
            epochs: BTreeMap::new(),
            mixed: false,
            region,
            has_leaked: false,
        }
    }

    /// Returns whether it is in another region than the leader.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        self.region.is_some_and(|region| region != crate::leader::region())
    }

    /// Returns the replica that it serves.
    #[must_use]
    pub fn replica(&self) -> Option<&Arc<Replica>> {
        self.follower.serving()
    }

    /// Returns whether it serves this replica.
    #[must_use]
    pub fn serves(&self, replica: &Arc<Replica>) -> bool {
        self.replica().is_some_and(|served| Arc::ptr_eq(served, replica))
    }

    /// Returns the last record that is applied.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.replica().map_or(Lsn::NONE, |replica| replica.position().lsn)
    }

    /// Returns the reading of its clock.
    #[must_use]
    pub fn now(&self, now: Duration) -> Duration {
        now + self.clock
    }

    /// Starts a stream.
    pub fn connected(&mut self, address: usize, now: Duration) -> SubscriberHello {
        self.follower.connected(address, self.now(now))
    }

    /// Receives a message.
    ///
    /// # Errors
    /// Why the stream must end.
    pub fn receive(&mut self, message: Downstream) -> Result<Received, StreamFault> {
        let received = match self.follower.receive(message).map_err(StreamFault::Violation)? {
            Effect::Greeted(hello) => {
                let life = hello.lineages.get(hello.region).map_or(hello.head.incarnation, Lineage::current);
                Received::Greeted(life, hello.epoch)
            }
            Effect::SnapshotBegun | Effect::RowsAdded { .. } | Effect::Nothing => Received::Nothing,
            // This world has one region.
            Effect::Rehomed { .. } => return Err(StreamFault::RepairFailed),
            Effect::Serve { replica, freshness_void, .. } => {
                if freshness_void {
                    self.fresh_at = None;
                }
                self.anti_entropy.restart(replica.exact_from());
                self.checkpoints.clear();
                self.relay.restart(replica.point.load().resume);
                (self.scrub, self.repair) = (None, None);
                Received::Served
            }
            Effect::Applied { block, position, .. } => {
                self.has_leaked |= self.is_outside() && publish::has_restricted_record(&block.bytes);
                self.relay.applied(&block, position);
                Received::Applied
            }
            Effect::Heard { .. } => Received::Nothing,
            Effect::Compare(checkpoint) => {
                let Some(replica) = self.follower.serving().cloned() else { return Ok(Received::Nothing) };
                self.checkpoints.push((*checkpoint).clone());
                let (_, step) = anti_entropy::compare(&mut self.anti_entropy, &replica.table, &checkpoint);
                self.start(step)?;
                Received::Nothing
            }
            Effect::End { code, .. } => return Err(StreamFault::EndedByPublisher(code)),
        };
        if let Some(at) = self.follower.freshness() {
            self.fresh_at = at;
        }
        Ok(received)
    }

    fn start(&mut self, step: Option<Step>) -> Result<(), StreamFault> {
        match step {
            None => {}
            Some(Step::Snapshot) => return Err(StreamFault::RepairFailed),
            Some(Step::Scrub { round }) => {
                match self.follower.serving().and_then(|replica| replica.table.begin_scrub()) {
                    Some(scrub) => self.scrub = Some((round, scrub, self.corrupted.clone())),
                    None => self.anti_entropy.not_scrubbed(round),
                }
            }
            Some(Step::Repair { round, buckets }) => self.repair = Some((Repair::new(round, buckets), None)),
        }
        Ok(())
    }

    /// Continues the scrub. When it has ended, returns the keys that were corrupted when it began, and whether it found
    /// no difference.
    ///
    /// # Errors
    /// Why the stream must end.
    pub fn continue_scrub(&mut self) -> Result<Option<(BTreeSet<u64>, bool)>, StreamFault> {
        let Some((round, mut scrub, corrupted)) = self.scrub.take() else { return Ok(None) };
        if scrub.advance() {
            self.scrub = Some((round, scrub, corrupted));
            return Ok(None);
        }
        let (_, step) = anti_entropy::scrubbed(&mut self.anti_entropy, round, scrub);
        let found_nothing = step.is_none();
        self.start(step)?;
        Ok(Some((corrupted, found_nothing)))
    }

    /// Ends the stream.
    pub fn disconnected(&mut self, fault: &Fault) {
        self.follower.disconnected(fault);
    }

    /// Evicts a row of the resident view.
    pub fn evict(&self, number: u64) {
        if let Some(replica) = self.replica() {
            replica.table.forget(crate::leader::RESIDENT, &crate::leader::key(number));
        }
    }

    /// Records that corrupted rows were overwritten. Another corruption of such a row does not concern a running scrub,
    /// which may have passed the row.
    pub fn forget_corrected(&mut self, corrected: &BTreeSet<u64>) {
        self.corrupted.retain(|number| !corrected.contains(number));
        if let Some((_, _, corrupted)) = &mut self.scrub {
            corrupted.retain(|number| !corrected.contains(number));
        }
    }

    /// Corrupts a row of the full view in memory. Returns whether there was one.
    pub fn corrupt(&mut self, number: u64) -> bool {
        let key = crate::leader::key(number % KEYS);
        let found = self.replica().is_some_and(|replica| replica.table.corrupt(crate::leader::FULL, &key));
        if found {
            self.corrupted.insert(number % KEYS);
        }
        found
    }
}
