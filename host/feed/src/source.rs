//! What the feed serves from: a leader, a member that follows one, or a relay.

use bytes::Bytes;
use littoral_model::{
    cluster::Belonging,
    digest::{BucketRows, Checkpoints},
    lives::RegionLives,
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
use std::time::Duration;
use tokio::sync::watch;

/// The source of a replication feed.
pub trait FeedSource: Node {
    /// Our region.
    fn region(&self) -> Region;

    /// The epoch under which we append.
    fn epoch(&self) -> Epoch;

    /// The last record that is durable and applied; changes are seen through the receiver.
    fn head(&self) -> watch::Receiver<Position>;

    /// Another number whenever what is served was replaced as a whole, as a relay's replica is by a snapshot: streams that began
    /// before must end. It has changed before the head says so.
    fn generation(&self) -> u64 {
        0
    }

    /// The hash of the record at `lsn`, for a subscriber that resumes there; `None` when it was trimmed or is not there.
    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash>;

    /// Records from `from` on, at least one and about `bytes_max` bytes; empty when `from` is past the head.
    ///
    /// # Errors
    /// [`FeedReadError::Trimmed`] when `from` is older than the log; a subscriber then needs a snapshot.
    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>>;

    /// A snapshot of everything. Fuzzy: a row may be newer than `as_of`, none is older, and the tail from `as_of` on
    /// brings every replica of it to the same rows.
    ///
    /// # Errors
    /// [`FeedReadError::NotHeld`] at a relay that does not hold everything.
    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError>;

    /// The newest checkpoints, each there before the head says that its record is. The default has none.
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        watch::channel(Checkpoints::default()).1
    }

    /// Has the leader take a checkpoint now. Returns the record that it stands at; it comes down the feed.
    ///
    /// # Errors
    /// [`ReadError::LeaderUnavailable`].
    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(std::future::ready(Err(ReadError::LeaderUnavailable("no checkpoints are taken here".to_owned()))))
    }

    /// Rows and tombstones of a bucket ([`crate::digest`]) behind the key `after`, by key: a bounded part of them.
    ///
    /// # Errors
    /// [`ReadError::LeaderUnavailable`], also when the leader cannot vouch for the view's rows.
    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        let _ = (view, bucket, after);
        Box::pin(std::future::ready(Err(ReadError::LeaderUnavailable("no buckets are given out here".to_owned()))))
    }

    /// Rows and tombstones as they stand here: what another region's leader asks for when it reads with a quorum.
    ///
    /// # Errors
    /// [`ReadError::LeaderUnavailable`] where this is no leader.
    fn held(&self, reads: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        let _ = reads;
        Err(ReadError::LeaderUnavailable("this is no region's leader".to_owned()))
    }

    /// The record behind which a replica of another region's log can go on here, when it has each region's records as far as
    /// `theirs` says, by the histories that it knows; `None` when it needs a snapshot.
    fn resume_point(&self, theirs: &Watermark, lives: &RegionLives) -> Option<Lsn> {
        let _ = (theirs, lives);
        None
    }

    /// How far every region's records are applied here.
    fn watermark(&self) -> Watermark {
        self.status().watermark
    }

    /// The histories of the regions' logs, this one's among them.
    fn lives(&self) -> RegionLives {
        RegionLives::default()
    }

    /// The regions that the leader's configuration names, its own among them; none where that is not known.
    fn configured(&self) -> Vec<Region> {
        Vec::new()
    }

    /// Where this log belongs; `None` while that is not known.
    fn belongs(&self) -> Option<Belonging> {
        self.lives().belongs()
    }

    /// A subscriber shows a position that this log must have and does not have: the log was put back to an older copy while its
    /// process ran. A leader that keeps its log alone lets another life of it begin.
    fn shown_ahead(&self) {}

    /// The leader of another region holds records of this log that this log has lost: before anything else is sent to it, a whole
    /// snapshot of its rows is asked for, and that is durable.
    ///
    /// # Errors
    /// Why it is not.
    fn lost_to(&self, region: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        let _ = region;
        Box::pin(std::future::ready(Ok(())))
    }

    /// The leader of another region says that it has everything up to there durably in its own log.
    fn taken_by(&self, region: Region, position: Position) {
        let _ = (region, position);
    }

    /// A subscriber, other than another region's leader, answers reads as of `through`, with the modules of that position;
    /// `None` when it has left. Numbers of subscribers are not used again.
    fn serves_through(&self, subscriber: u64, through: Option<Lsn>) {
        let _ = (subscriber, through);
    }

    /// The last record that is durable and may have been acknowledged: the head or later, where what one member has is
    /// acknowledged before a majority has it. Who has everything up to there is behind in nothing.
    fn acknowledged(&self) -> Position {
        *self.head().borrow()
    }

    /// Takes rows and deletions that this log has lost back into it, under their old versions. A relay passes them on to its leader.
    ///
    /// # Errors
    /// As [`TailPiece::check`] and [`littoral_model::ports::FeatureWriter::write`].
    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        let _ = piece;
        Box::pin(std::future::ready(Err(WriteError::NotLeader("it takes no detached tails".to_owned()))))
    }

    /// Whether this is the leader itself, or a relay and how far it is behind.
    fn standing(&self) -> Standing {
        Standing::Leader
    }

    /// A module's component.
    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>>;
}

/// Where a source of the feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It appends the log.
    Leader,
    /// It follows the leader, or another relay, and passes on what it has applied.
    Relay {
        /// How far it is behind the leader at most; `None` when it cannot tell.
        behind: Option<Duration>,
        /// Whether its own source is silent, or has said this of its own.
        leader_lost: bool,
    },
    /// It is a member of the region's log that does not lead: its rows are for those who read here, and its feed for nobody.
    Follower,
}
