//! A leader as the source of its feed.

use super::Handle;
use crate::{anti_entropy::Task, read_quorum, rollback, write_path::Job};
use bytes::Bytes;
use littoral_feed::source::{AntiEntropy, FeedLog, RegionPeer, SourceRole};
use littoral_leader_core::{
    LogCommand,
    receipts::bytes_hash,
    rehoming::{self, OwnLog, Replica},
};
use littoral_log::{Identity, ReadError as LogReadError};
use littoral_model::{
    catalogue::Catalogue,
    cluster::Affiliation,
    digest::{BucketRows, Checkpoints},
    lineage::RegionLineages,
    module::ModuleDigest,
    ports::{BoxFuture, FeatureReader as _, FeedReadError, RecordBlock, SnapshotSource},
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

/// Rows in one chunk of a snapshot for a subscriber.
const ROWS_PER_CHUNK: usize = 2_048;

/// The approximate maximum size of one answer about a bucket, in bytes.
const BUCKET_BYTES_MAX: usize = 4 << 20;

impl FeedLog for Handle {
    fn applied_catalogue(&self) -> Option<Arc<Catalogue>> {
        Some(self.catalogue())
    }

    fn region(&self) -> Region {
        self.shared.identity.region
    }

    fn epoch(&self) -> Epoch {
        self.shared.epoch()
    }

    fn source_role(&self) -> SourceRole {
        if self.shared.leads() { SourceRole::Leader } else { SourceRole::Follower }
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.applied.head()
    }

    fn acknowledged(&self) -> Position {
        self.shared.acknowledged()
    }

    /// Changes with the log's affiliation: subscribers connect again and receive it.
    fn generation(&self) -> u64 {
        self.belongs().map_or(0, |affiliation| match (affiliation.healed, affiliation.succeeds) {
            (false, _) => 1,
            (true, None) => 2,
            (true, Some(_)) => 3,
        })
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.shared.log.chain_at(lsn).unwrap_or_else(|error| {
            tracing::error!(%error, lsn = lsn.0, "the log cannot be read for a subscriber that resumes");
            None
        })
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(async move {
            // Records that are durable but not applied yet are withheld: a subscriber must not be ahead of its leader.
            let head = self.shared.applied.load().position.lsn;
            if from > head {
                return Ok(RecordBlock::default());
            }
            let read = match self.shared.log.read_cached(from, bytes_max) {
                Some(block) => Ok(block),
                None => {
                    let log = self.shared.log.clone();
                    let read = tokio::task::spawn_blocking(move || log.read(from, bytes_max)).await;
                    read.map_err(|error| FeedReadError::Io(error.to_string()))?
                }
            };
            read.map(|block| littoral_log::through(block, head)).map_err(|error| match error {
                LogReadError::Trimmed { from, oldest } => FeedReadError::Trimmed { from, oldest },
                other => FeedReadError::Io(other.to_string()),
            })
        })
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        // The position is loaded before the rows: rows may be newer than it, never older.
        let published = self.shared.applied.load_full();
        Ok(SnapshotSource {
            as_of: published.position,
            chain: published.chain,
            watermark: published.portable_watermark.clone(),
            lineages: RegionLineages::clone(&published.lineages),
            mixed: published.origins.is_mixed(),
            catalogue: published.catalogue.clone(),
            rows_estimate: self.shared.applied.table.len() as u64,
            chunks: Box::new(self.shared.applied.table.chunks(ROWS_PER_CHUNK)),
        })
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move { self.shared.modules.blocking(move |modules| modules.load(digest)).await.ok() })
    }

    fn serves_through(&self, subscriber: u64, through: Option<Lsn>) {
        self.shared.edges.serves_through(subscriber, through);
    }
}

impl AntiEntropy for Handle {
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.shared.anti_entropy.checkpoints()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(async move {
            let checkpoint = self.shared.writes.run(Job::Task(Task::Checkpoint), 0).await;
            checkpoint
                .map(|receipt| receipt.position.lsn)
                .map_err(|error| ReadError::LeaderUnavailable(error.to_string()))
        })
    }

    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move {
            let shared = self.shared.clone();
            // This reads the whole table, which would block a worker.
            let read = tokio::task::spawn_blocking(move || {
                if shared.anti_entropy.suspects(view) {
                    let reason = format!("rows of view {view} have changed in the leader's memory; restart the leader");
                    return Err(ReadError::LeaderUnavailable(reason));
                }
                // The position is loaded before the rows: rows may be newer than it, never older.
                let as_of = shared.applied.load().position;
                let (rows, more) = shared.applied.table.bucket(view, bucket, after.as_deref(), BUCKET_BYTES_MAX);
                Ok(BucketRows { as_of, rows, more })
            });
            read.await.unwrap_or_else(|error| Err(ReadError::LeaderUnavailable(error.to_string())))
        })
    }
}

impl RegionPeer for Handle {
    fn watermark(&self) -> Watermark {
        self.shared.watermark()
    }

    fn lineages(&self) -> RegionLineages {
        RegionLineages::clone(&self.shared.applied.load().lineages)
    }

    fn configured(&self) -> Vec<Region> {
        self.shared.config.all_regions().collect()
    }

    fn belongs(&self) -> Option<Affiliation> {
        self.shared.affiliation.now(&self.shared)
    }

    fn resume_point(&self, theirs: &Watermark, lineages: &RegionLineages) -> Option<Lsn> {
        let published = self.shared.applied.load();
        let log = OwnLog {
            region: self.shared.identity.region,
            head: published.position,
            origins: &published.origins,
            lineages: &published.lineages,
        };
        let replica = Replica { watermark: theirs, lineages };
        rehoming::resume_point(log, replica, &self.shared.applied.regional().rehoming)
    }

    fn held(&self, reads: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        self.shared.affiliation.has_all(&self.shared).map_err(ReadError::NotAllHere)?;
        if !self.shared.leads() {
            return Err(ReadError::LeaderUnavailable("this member of the region does not lead".to_owned()));
        }
        Ok(read_quorum::held(&self.shared, reads))
    }

    fn shown_ahead(&self) {
        rollback::begin_new_life(&self.shared);
    }

    fn lost_to(&self, region: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(rollback::request_snapshot(&self.shared, region))
    }

    fn taken_by(&self, region: Region, position: Position) {
        self.shared.cross_region.replicated.note(region, position);
    }

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            if let Some(leader) = self.elsewhere().await? {
                return leader.merge(piece).await;
            }
            let Identity { region, incarnation } = self.shared.identity;
            piece.check(region, incarnation, &self.shared.applied.load().catalogue)?;
            let TailPiece { name, records, .. } = piece;
            let (content, bytes) = (bytes_hash(&records), records.len());
            self.append(LogCommand::Merge { records, piece: name, content }, bytes).await
        })
    }
}
