//! What the leader's threads and its callers share, grouped by use.
//!
//! Locks are taken in this order:
//!
//! 1. Held over disk work, so only threads that may block take them, never a task on the runtime:
//!    `WritePath::sequencer` (over an append), then the replication's writing lock. The lock inside `Modules` is one of
//!    these too; no other of the leader's locks is taken under it.
//! 2. The replication's state: in memory only.
//! 3. `WritePath::receipts`, `AppliedState::regional`, and the locks inside `queue`, `commits`, `cross_region` and
//!    `affiliation`: in memory only. Under `regional` the rows' locks and `receipts` are taken, under the others none.
//!
//! No lock is held while another process is awaited. Readers of rows take none: they load the [`Published`] state.

use crate::{
    affiliation::AffiliationState,
    anti_entropy::AntiEntropyState,
    applied::AppliedState,
    commit_waiters::CommitWaiters,
    config::Config,
    cross_region::CrossRegion,
    maintain::Snapshots,
    modules::Modules,
    replication::{Replication, RowFreshness, Writers},
    rollback::NewLives,
    rollout::Edges,
    write_path::WritePath,
};
use littoral_leader_core::{AllowedRegions, Limits, Published, Records, published};
use littoral_log::{Identity, Log};
use littoral_model::{
    position::{Epoch, Incarnation, Position},
    token::Watermark,
    write::{WriteConcern, WriteError, WriteReceipt},
};
use littoral_tls::Tls;
use std::{sync::Arc, time::Duration};

/// Returns milliseconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The limits of one write.
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) identity: Identity,
    pub(crate) log: Arc<dyn Log>,
    /// Which nodes can append to the log.
    pub(crate) writers: Writers,
    /// Makes this node's log the log of the region.
    pub(crate) replication: Arc<dyn Replication>,
    /// What writes pass through until they are durable.
    pub(crate) writes: WritePath,
    /// Durable batches that wait to be committed and applied.
    pub(crate) commits: Arc<CommitWaiters>,
    /// What is applied.
    pub(crate) applied: AppliedState,
    pub(crate) snapshots: Snapshots,
    pub(crate) new_lives: NewLives,
    pub(crate) modules: Modules,
    pub(crate) anti_entropy: AntiEntropyState,
    /// The subscribers that answer reads.
    pub(crate) edges: Edges,
    /// The cluster that the log belongs to.
    pub(crate) affiliation: AffiliationState,
    /// The TLS of connections to other leaders.
    pub(crate) tls: Option<Tls>,
    /// The other regions.
    pub(crate) cross_region: CrossRegion,
}

impl Shared {
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// Returns how fresh the published rows are.
    pub(crate) fn freshness(&self, published: &Published) -> RowFreshness {
        self.replication.freshness(published.position.lsn)
    }

    /// Returns whether this node leads, and no other node can have begun to lead by now.
    pub(crate) fn leads(&self) -> bool {
        self.freshness(&self.applied.load()).leads
    }

    /// Returns the last record that may have been acknowledged: the head, or later where writes are acknowledged before
    /// they are committed.
    pub(crate) fn acknowledged(&self) -> Position {
        let head = self.applied.load().position;
        Position { lsn: head.lsn.max(self.writes.acknowledged()), ..head }
    }

    /// Returns how long a write waits for other regions; `requested_ms` is zero if it requests no time of its own.
    pub(crate) fn concern_wait(&self, requested_ms: u32) -> Duration {
        let ms = if requested_ms == 0 { self.config.concern_wait_ms } else { requested_ms };
        Duration::from_millis(u64::from(ms.min(self.config.concern_wait_ms_max)))
    }

    /// Rejects a concern that can never be reached here.
    pub(crate) fn check_concern(&self, wanted: WriteConcern, allowed: &AllowedRegions) -> Result<(), WriteError> {
        let known = self.cross_region.len();
        let allowed = self.cross_region.regions().filter(|region| allowed.contains(*region)).count();
        match wanted {
            WriteConcern::Regions(count) if usize::from(count) > known => Err(WriteError::Invalid(format!(
                "{wanted} was requested, and this leader knows {known} other regions; name them as [[regions]] in its configuration"
            ))),
            WriteConcern::Regions(count) if usize::from(count) > allowed => Err(WriteError::Invalid(format!(
                "{wanted} was requested, and only {allowed} of the other regions may hold all rows of the write; \
                 request at most that many (`littoral project show` lists the regions)"
            ))),
            // One node that keeps its log alone is a majority.
            WriteConcern::Quorum | WriteConcern::Local | WriteConcern::Regions(_) => Ok(()),
        }
    }

    /// Returns the position up to which every region's log is applied here, including records of other regions that
    /// changed nothing.
    pub(crate) fn watermark(&self) -> Watermark {
        let published = self.applied.load();
        let mut watermark = published.portable_watermark.clone();
        self.cross_region.add_to(&mut watermark, &published.lineages);
        watermark
    }

    /// Returns the epoch of this log's last record.
    pub(crate) fn epoch(&self) -> Epoch {
        self.log.bounds().epoch
    }

    /// Returns the receipt of a write whose records are durable.
    pub(crate) fn receipt(&self, records: Records) -> WriteReceipt {
        let Identity { region, incarnation } = self.identity;
        let published = self.applied.load();
        let lineage = published.lineages.get(region);
        let position = |lsn| lineage.map_or(Position { incarnation, lsn }, |lineage| lineage.position(lsn));
        published::receipt(region, records, position(records.last))
    }

    /// Returns the receipt of a request that appended nothing: it names the last applied record.
    pub(crate) fn empty_receipt(&self) -> WriteReceipt {
        let head = self.applied.load().position.lsn;
        self.receipt(Records { first: head, last: head, duplicate: false })
    }

    /// Generates the name of a new life of the log.
    pub(crate) fn generate_life(&self) -> Incarnation {
        self.new_lives.generate(&*self.log, self.now_ms())
    }
}
