//! A member as the source of its feed: forwards to the log that is open.

use super::Member;
use bytes::Bytes;
use littoral_feed::source::{AntiEntropy, FeedLog, RegionPeer, SourceRole};
use littoral_model::{
    catalogue::Catalogue,
    cluster::Affiliation,
    digest::{BucketRows, Checkpoints},
    lineage::RegionLineages,
    module::ModuleDigest,
    ports::{BoxFuture, FeedReadError, RecordBlock, SnapshotSource},
    position::{Epoch, Lsn, Position},
    read::{ReadAnswer, ReadError, ViewRead},
    record::ChainHash,
    region::Region,
    tail::TailPiece,
    token::Watermark,
    view::ViewId,
    write::{WriteError, WriteReceipt},
};
use std::sync::Arc;
use tokio::sync::watch;

/// The low bits of a generation, which the open log itself counts. The bits above them count the openings of the log.
const GENERATION_BITS: u32 = 8;

impl FeedLog for Member {
    fn applied_catalogue(&self) -> Option<Arc<Catalogue>> {
        self.handle().applied_catalogue()
    }

    fn region(&self) -> Region {
        self.handle().region()
    }

    fn epoch(&self) -> Epoch {
        self.handle().epoch()
    }

    fn source_role(&self) -> SourceRole {
        self.handle().source_role()
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.handle().head()
    }

    fn acknowledged(&self) -> Position {
        self.handle().acknowledged()
    }

    fn generation(&self) -> u64 {
        let current = self.current.load();
        (current.openings << GENERATION_BITS) | current.handle.generation()
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.handle().chain_at(lsn)
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(async move { self.handle().records(from, bytes_max).await })
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        self.handle().snapshot()
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move { self.handle().component(digest).await })
    }

    fn serves_through(&self, subscriber: u64, through: Option<Lsn>) {
        self.handle().serves_through(subscriber, through);
    }
}

impl AntiEntropy for Member {
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.handle().checkpoints()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(async move { self.handle().checkpoint().await })
    }

    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move { self.handle().bucket(view, bucket, after).await })
    }
}

impl RegionPeer for Member {
    fn watermark(&self) -> Watermark {
        self.handle().watermark()
    }

    fn lineages(&self) -> RegionLineages {
        self.handle().lineages()
    }

    fn configured(&self) -> Vec<Region> {
        self.handle().configured()
    }

    fn belongs(&self) -> Option<Affiliation> {
        self.handle().belongs()
    }

    fn resume_point(&self, theirs: &Watermark, lineages: &RegionLineages) -> Option<Lsn> {
        self.handle().resume_point(theirs, lineages)
    }

    fn held(&self, reads: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        self.handle().held(reads)
    }

    fn shown_ahead(&self) {
        self.handle().shown_ahead();
    }

    fn lost_to(&self, region: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        let handle = self.handle();
        Box::pin(async move { handle.lost_to(region).await })
    }

    fn taken_by(&self, region: Region, position: Position) {
        self.handle().taken_by(region, position);
    }

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move { self.open().await.merge(piece).await })
    }
}
