//! What the feed serves from: a leader, a member of a region's log, or a relay.
//!
//! No method has a default, so a type that forwards these traits cannot miss one.

use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    cluster::Affiliation,
    digest::{BucketRows, Checkpoints},
    lineage::RegionLineages,
    module::ModuleDigest,
    ports::{BoxFuture, FeedReadError, Node, RecordBlock, SnapshotSource},
    position::{Epoch, Lsn, Position},
    read::{ReadAnswer, ReadError, ViewRead},
    record::ChainHash,
    region::Region,
    tail::TailPiece,
    token::Watermark,
    view::ViewId,
    write::{WriteError, WriteReceipt},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Everything that the feed's server needs.
pub trait FeedSource: Node + FeedLog + AntiEntropy + RegionPeer {}

impl<T: Node + FeedLog + AntiEntropy + RegionPeer> FeedSource for T {}

/// The log that subscribers replicate.
pub trait FeedLog: Send + Sync + 'static {
    /// Returns the log's region.
    fn region(&self) -> Region;

    /// Returns the epoch of the last record.
    fn epoch(&self) -> Epoch;

    /// Returns whether this is the leader, a relay and how far it is behind, or a follower.
    fn source_role(&self) -> SourceRole;

    /// Returns the last record that is durable and applied, now and whenever it changes.
    fn head(&self) -> watch::Receiver<Position>;

    /// Returns the last record that may have been acknowledged: the head, or a later record if a member acknowledges a
    /// write before a majority has it. A subscriber that has everything up to there is not behind.
    fn acknowledged(&self) -> Position;

    /// Returns a number that changes whenever the served records may have been replaced as a whole, as a relay's
    /// replica is by a snapshot. Streams that began before must end. It changes before the head shows the replacement.
    fn generation(&self) -> u64;

    /// Returns the hash of the record at `lsn`, for a subscriber that resumes there; `None` when the record was trimmed
    /// or does not exist here.
    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash>;

    /// Returns records from `from` on, at least one and about `bytes_max` bytes; none when `from` is past the head.
    ///
    /// # Errors
    /// [`FeedReadError::Trimmed`] when `from` is older than the log; the subscriber then needs a snapshot.
    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>>;

    /// Returns a snapshot of all rows. It is fuzzy: a row may be newer than `as_of`, but none is older. After the tail
    /// from `as_of` on, every replica that began with it has the same rows.
    ///
    /// # Errors
    /// [`FeedReadError::NotHeld`] at a relay that does not hold all rows.
    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError>;

    /// Returns the catalogue as of the last record that is applied, or of a later one. A relay may serve reads with an
    /// older one. `None` at a relay without a replica: it knows no residency rules yet.
    fn applied_catalogue(&self) -> Option<Arc<Catalogue>>;

    /// Returns a module's component.
    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>>;

    /// Notes that a subscriber, other than another region's leader, answers reads as of `through`, with the modules of
    /// that position; `None` when it has left. A subscriber's number is never reused.
    fn serves_through(&self, subscriber: u64, through: Option<Lsn>);
}

/// The digests with which replicas are compared, and the rows with which they are repaired.
pub trait AntiEntropy: Send + Sync + 'static {
    /// Returns the newest checkpoints, now and whenever they change. Each is published before the head passes its
    /// record.
    fn checkpoints(&self) -> watch::Receiver<Checkpoints>;

    /// Makes the leader take a checkpoint now. Returns its record; the checkpoint arrives with the feed.
    ///
    /// # Errors
    /// [`ReadError::LeaderUnavailable`].
    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>>;

    /// Returns a bounded part of the rows and tombstones of a bucket ([`littoral_model::digest`]) after the key
    /// `after`, by key.
    ///
    /// # Errors
    /// [`ReadError::LeaderUnavailable`], also when rows of the view have changed in the leader's memory.
    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>>;
}

/// What other regions, and edges that change their region, need.
pub trait RegionPeer: Send + Sync + 'static {
    /// Returns the position up to which each region's records are applied here.
    fn watermark(&self) -> Watermark;

    /// Returns the lineages of the regions' logs, including this one's.
    fn lineages(&self) -> RegionLineages;

    /// Returns the regions that the leader's configuration names, including its own; empty if unknown.
    fn configured(&self) -> Vec<Region>;

    /// Returns the cluster that this log belongs to; `None` while that is unknown.
    fn belongs(&self) -> Option<Affiliation>;

    /// Returns the record after which a replica of another region's log can continue here, given that it has each
    /// region's records up to `theirs`, and knows these lineages; `None` if it needs a snapshot.
    fn resume_point(&self, theirs: &Watermark, lineages: &RegionLineages) -> Option<Lsn>;

    /// Returns rows and tombstones as they are held here, for a quorum read of another region's leader.
    ///
    /// # Errors
    /// [`ReadError::LeaderUnavailable`] at a node that does not lead its region.
    fn held(&self, reads: &[ViewRead]) -> Result<ReadAnswer, ReadError>;

    /// Notes that a subscriber has sent a position that this log should contain but lacks: the log was restored from an
    /// older copy while its process ran. A leader that keeps its log alone starts another life of it.
    fn shown_ahead(&self);

    /// Requests a whole snapshot of the rows of another region, whose leader holds records that this log has lost.
    /// Returns once the request is durable; nothing else may be sent to that leader before.
    ///
    /// # Errors
    /// Why the request is not durable.
    fn lost_to(&self, region: Region) -> BoxFuture<'_, Result<(), WriteError>>;

    /// Notes that the leader of another region has everything up to `position` durably in its own log.
    fn taken_by(&self, region: Region, position: Position);

    /// Merges rows and deletions that this log has lost back into it, under their old versions. A relay forwards them
    /// to its leader.
    ///
    /// # Errors
    /// As [`TailPiece::check`] and [`littoral_model::ports::FeatureWriter::write`].
    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>>;
}

/// Answers nodes that renew their certificates: signs, or forwards to a node that does.
pub trait Certifier: Send + Sync + 'static {
    /// Answers a request.
    ///
    /// # Errors
    /// Why it is rejected.
    fn certify(&self, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>>;
}

/// The role of a source of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRole {
    /// It appends the log.
    Leader,
    /// It follows the leader or another relay, and publishes what it has applied.
    Relay {
        /// An upper bound on how far it is behind the leader; `None` if unknown.
        behind: Option<Duration>,
        /// Whether its own publisher is silent, or has reported that it has lost the leader.
        leader_lost: bool,
    },
    /// A member of the region that does not lead. It serves reads, and publishes no feed.
    Follower,
}
