//! The edge as a relay: it publishes what it follows, so the leader's cost does not grow with the
//! number of edges.

use crate::{handle::Handle, modules};
use bytes::Bytes;
use littoral_edge_core::relay;
use littoral_feed::source::{AntiEntropy, FeedLog, RegionPeer, SourceRole};
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
use std::sync::Arc;
use tokio::sync::watch;

/// The number of rows in one chunk of a snapshot for a subscriber.
const ROWS_PER_CHUNK: usize = 2_048;

impl FeedLog for Handle {
    fn applied_catalogue(&self) -> Option<Arc<Catalogue>> {
        self.shared.replica.load().as_ref().map(|replica| replica.point.load().catalogue.clone())
    }

    fn region(&self) -> Region {
        self.shared.replica.load().as_ref().map_or(Region::NONE, |replica| replica.point.load().region)
    }

    fn epoch(&self) -> Epoch {
        self.shared.replica.load().as_ref().map_or(Epoch(0), |replica| replica.point.load().epoch)
    }

    fn source_role(&self) -> SourceRole {
        SourceRole::Relay { behind: self.shared.staleness(), leader_lost: self.shared.leader_lost() }
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.relay_head.subscribe()
    }

    fn acknowledged(&self) -> Position {
        *self.head().borrow()
    }

    fn generation(&self) -> u64 {
        self.shared.replica.load().as_ref().map_or(0, |replica| replica.feed_generation())
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.shared.relay.chain_at(lsn)
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(std::future::ready(self.shared.relay.records(from, bytes_max)))
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        let replica = self.shared.replica.load_full();
        let replica = replica.ok_or_else(|| FeedReadError::NotHeld("it has no data yet".to_owned()))?;
        relay::snapshot(&replica, ROWS_PER_CHUNK)
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(modules::component(&self.shared, digest))
    }

    fn serves_through(&self, _: u64, _: Option<Lsn>) {}
}

impl AntiEntropy for Handle {
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.shared.checkpoints.subscribe()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
            calls.checkpoint().await
        })
    }

    /// Fetches the bucket from the leader, because a relay's own rows may be the ones that need
    /// repair.
    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
            calls.bucket(view, bucket, after).await
        })
    }
}

impl RegionPeer for Handle {
    fn watermark(&self) -> Watermark {
        self.status().watermark
    }

    fn lineages(&self) -> RegionLineages {
        let replica = self.shared.replica.load();
        replica.as_ref().map(|replica| RegionLineages::clone(&replica.point.load().lineages)).unwrap_or_default()
    }

    fn configured(&self) -> Vec<Region> {
        Vec::clone(&self.shared.configured.load())
    }

    fn belongs(&self) -> Option<Affiliation> {
        self.lineages().belongs()
    }

    fn resume_point(&self, _: &Watermark, _: &RegionLineages) -> Option<Lsn> {
        None
    }

    fn held(&self, _: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        Err(ReadError::LeaderUnavailable("this node is not the leader of a region".to_owned()))
    }

    fn shown_ahead(&self) {}

    fn lost_to(&self, _: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn taken_by(&self, _: Region, _: Position) {}

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(WriteError::LeaderUnavailable)?;
            calls.merge(piece).await
        })
    }
}
