//! An edge as a relay: what it follows it serves onward, so that the leader's cost does not grow with the edges.

use crate::{handle::Handle, modules, replica::Holding};
use bytes::Bytes;
use littoral_model::{
    digest::{BucketRows, Checkpoints},
    module::ModuleDigest,
    ports::{BoxFuture, FeedReadError, FeedSource, RecordBlock, SnapshotSource, Standing},
    position::{Epoch, Lsn, Position},
    read::ReadError,
    record::ChainHash,
    region::Region,
    view::ViewId,
};
use tokio::sync::watch;

/// Rows in one chunk of a snapshot for a subscriber.
const ROWS_PER_CHUNK: usize = 2_048;

impl FeedSource for Handle {
    fn region(&self) -> Region {
        self.shared.replica.load().as_ref().map_or(Region::NONE, |replica| replica.point.load().region)
    }

    fn epoch(&self) -> Epoch {
        self.shared.replica.load().as_ref().map_or(Epoch(0), |replica| replica.point.load().epoch)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.relay.head()
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.shared.relay.chain_at(lsn)
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(std::future::ready(self.shared.relay.records(from, bytes_max)))
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        let not_held = |what: &str| FeedReadError::NotHeld(what.to_owned());
        let replica = self.shared.replica.load_full().ok_or_else(|| not_held("this relay holds nothing yet"))?;
        // First the position, then the rows: rows may be newer than it, never older.
        let point = replica.point.load_full();
        if replica.routes.load().values().any(|route| route.holding != Holding::Full) {
            return Err(not_held("a view did not fit this relay's full_bytes_max"));
        }
        Ok(SnapshotSource {
            as_of: point.resume.position,
            chain: point.resume.chain,
            catalogue: point.catalogue.clone(),
            rows_estimate: replica.table.len() as u64,
            chunks: Box::new(replica.table.chunks(ROWS_PER_CHUNK)),
        })
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

    /// The leader's own: rows of a relay may be what is to be mended.
    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
            calls.bucket(view, bucket, after).await
        })
    }

    fn standing(&self) -> Standing {
        Standing::Relay { behind: self.shared.staleness(), leader_lost: self.shared.leader_lost() }
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(modules::component(&self.shared, digest))
    }
}
