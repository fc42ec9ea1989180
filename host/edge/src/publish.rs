//! The edge as a relay: it publishes what it follows, so the leader's cost does not grow with the
//! number of edges.

use crate::{handle::Handle, modules};
use bytes::Bytes;
use littoral_edge_core::relay;
use littoral_feed::source::{FeedSource, Standing};
use littoral_model::{
    digest::{BucketRows, Checkpoints},
    lives::RegionLives,
    module::ModuleDigest,
    ports::{BoxFuture, FeedReadError, RecordBlock, SnapshotSource},
    position::{Epoch, Lsn, Position},
    read::ReadError,
    record::ChainHash,
    region::Region,
    tail::TailPiece,
    view::ViewId,
    write::{WriteError, WriteReceipt},
};
use tokio::sync::watch;

/// The number of rows in one chunk of a snapshot for a subscriber.
const ROWS_PER_CHUNK: usize = 2_048;

impl FeedSource for Handle {
    fn region(&self) -> Region {
        self.shared.replica.load().as_ref().map_or(Region::NONE, |replica| replica.point.load().region)
    }

    fn epoch(&self) -> Epoch {
        self.shared.replica.load().as_ref().map_or(Epoch(0), |replica| replica.point.load().epoch)
    }

    fn generation(&self) -> u64 {
        self.shared.replica.load().as_ref().map_or(0, |replica| replica.generation.number())
    }

    fn lives(&self) -> RegionLives {
        let replica = self.shared.replica.load();
        replica.as_ref().map(|replica| RegionLives::clone(&replica.point.load().lives)).unwrap_or_default()
    }

    fn configured(&self) -> Vec<Region> {
        Vec::clone(&self.shared.configured.load())
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.relay_head.subscribe()
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

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(WriteError::LeaderUnavailable)?;
            calls.merge(piece).await
        })
    }

    fn standing(&self) -> Standing {
        Standing::Relay { behind: self.shared.staleness(), leader_lost: self.shared.leader_lost() }
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(modules::component(&self.shared, digest))
    }
}
