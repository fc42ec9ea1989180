//! The maintenance thread: snapshots, trimming, collecting tombstones, removing modules, and preparing files of the log
//! ahead of time.

use crate::{anti_entropy, shared::Shared, write_path::Job};
use littoral_leader_core::LogCommand;
use littoral_log::{
    Retention,
    snapshot::{self, Remembered},
    storage::Storage,
};
use littoral_model::{hlc::Hlc, lineage::RegionLineages, origin::Origins, position::Lsn};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often the thread runs without being woken.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// How often the log's durable tail is recorded.
const MARK_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest pause, however often checkpoints are configured.
const PARK_MIN: Duration = Duration::from_millis(5);
/// How often the disk is checked for the files of the log and its snapshots.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the log is trimmed.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);
/// How long after a failure a snapshot is retried.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// The longest rest while a snapshot is written, however slow the disk is.
const REST_MAX: Duration = Duration::from_millis(200);
/// Rows in one chunk of a snapshot.
const ROWS_PER_CHUNK: usize = 2_048;

/// The snapshots of a log.
pub(crate) struct Snapshots {
    /// Stores the log and its snapshots.
    pub(crate) storage: Arc<dyn Storage>,
    newest: AtomicU64,
}

impl Snapshots {
    pub(crate) fn new(storage: Arc<dyn Storage>, newest: Lsn) -> Self {
        Self { storage, newest: AtomicU64::new(newest.0) }
    }

    /// Returns the position of the newest durable snapshot; [`Lsn::NONE`] if there is none.
    pub(crate) fn newest(&self) -> Lsn {
        Lsn(self.newest.load(Relaxed))
    }
}

/// Runs until `stop`. The log already has `replayed` bytes after the last snapshot.
pub(crate) fn run(shared: &Shared, stop: &AtomicBool, replayed: u64) {
    let mut snapshot_at = shared.config.snapshot_log_bytes.saturating_sub(replayed);
    let mut trim_at = Instant::now();
    let mut retry_at = Instant::now();
    let mut checkpoint_at = Instant::now();
    let mut mark_at = Instant::now();
    let mut file_check_at = Instant::now();
    while !stop.load(Relaxed) {
        if Instant::now() >= file_check_at {
            shared.writes.health.files_missing(shared.log.missing_files());
            if snapshot_is_gone(shared) {
                snapshot_at = 0;
            }
            file_check_at = Instant::now() + FILE_CHECK_INTERVAL;
        }
        shared.log.prepare();
        begin_life(shared);
        let appended = shared.writes.appended_bytes();
        if appended >= snapshot_at && Instant::now() >= retry_at {
            if take_snapshot(shared, &|| stop.load(Relaxed)) {
                snapshot_at = appended + shared.config.snapshot_log_bytes;
                trim_at = Instant::now();
            } else {
                retry_at = Instant::now() + RETRY_DELAY;
            }
        }
        if Instant::now() >= trim_at {
            trim(shared);
            trim_at = Instant::now() + TRIM_INTERVAL;
        }
        if Instant::now() >= mark_at {
            mark(shared);
            mark_at = Instant::now() + MARK_INTERVAL;
        }
        if shared.config.checkpoint_interval_ms > 0 && Instant::now() >= checkpoint_at {
            checkpoint_at = Instant::now() + Duration::from_millis(shared.config.checkpoint_interval_ms);
            anti_entropy::take_checkpoint(shared);
        }
        std::thread::park_timeout(
            CHECK_INTERVAL.min(checkpoint_at.saturating_duration_since(Instant::now()).max(PARK_MIN)),
        );
    }
    // Record the final tail: no further record is appended.
    mark(shared);
}

/// Returns whether the last snapshot is missing from the disk, and forgets it if so. The caller then writes another,
/// because the next start needs one: the log before the missing snapshot is trimmed.
fn snapshot_is_gone(shared: &Shared) -> bool {
    let last = shared.snapshots.newest();
    // A disk that cannot be read shows nothing about its files.
    let Ok(stored) = snapshot::newest(&*shared.snapshots.storage) else { return false };
    if last == Lsn::NONE || stored.contains(&last) {
        return false;
    }
    tracing::warn!(as_of = last.0, "the last snapshot is missing from the data directory; writing another one");
    shared.snapshots.newest.store(0, Relaxed);
    true
}

/// Starts the life of the log that could not be started when the log was opened, because the disk was full or failed.
fn begin_life(shared: &Shared) {
    if shared.writes.sequencer.lock().is_unbegun() {
        let life = shared.generate_life();
        // A disk that is still full rejects it; it is retried.
        let _ = anti_entropy::run_blocking(shared, Job::Append(LogCommand::Begin { life, rolled_back: false }));
    }
}

/// Records the log's durable tail. After a failure, the next start knows an older tail.
fn mark(shared: &Shared) {
    if let Err(error) = shared.log.mark() {
        tracing::warn!(%error, "the log's tail could not be recorded");
    }
}

/// The rows of a snapshot, in chunks. Between two chunks the thread rests as long as the last one took to be encoded
/// and written, so that writes keep half of the disk and of a core. It does not rest once `hurried` returns true.
struct Paced<'a, C> {
    chunks: C,
    given: Option<Instant>,
    hurried: &'a dyn Fn() -> bool,
}

impl<C: Iterator> Iterator for Paced<'_, C> {
    type Item = C::Item;

    fn next(&mut self) -> Option<C::Item> {
        if let Some(given) = self.given
            && !(self.hurried)()
        {
            std::thread::sleep(given.elapsed().min(REST_MAX));
        }
        let chunk = self.chunks.next();
        self.given = Some(Instant::now());
        chunk
    }
}

/// Writes a snapshot, then removes the modules that it makes superfluous. Returns false when the snapshot could not be
/// written. It rests between chunks unless `hurried` returns true.
pub(crate) fn take_snapshot(shared: &Shared, hurried: &dyn Fn() -> bool) -> bool {
    if shared.anti_entropy.is_suspect() {
        tracing::error!(
            "no snapshot is written, because rows have changed in memory; restart this leader, which restores them"
        );
        return false;
    }
    collect_tombstones(shared);
    // First the position, then the rows: rows may be newer than it, never older.
    let published = shared.applied.load_full();
    let as_of = published.position.lsn;
    let epoch = shared.log.history().epoch_at(as_of).unwrap_or_else(|| shared.epoch());
    if as_of == shared.snapshots.newest() {
        return true;
    }
    let receipts = shared.writes.receipts.lock().through(as_of);
    let (origins, lineages) = (Origins::clone(&published.origins), RegionLineages::clone(&published.lineages));
    // Later conflicts are found again when the log is replayed.
    let conflicts = shared.applied.conflicts();
    let remembered = Remembered { receipts, origins, lineages, conflicts };
    let head = littoral_recovery::snapshot_head(&published, shared.identity, epoch, shared.applied.table.len() as u64);
    let begun = Instant::now();
    let chunks = Paced { chunks: shared.applied.table.chunks(ROWS_PER_CHUNK), given: None, hurried };
    match snapshot::write(&*shared.snapshots.storage, &head, chunks, &remembered) {
        Ok(written) => {
            shared.snapshots.newest.store(as_of.0, Relaxed);
            metrics::histogram!("littoral_leader_snapshot_seconds").record(begun.elapsed().as_secs_f64());
            metrics::gauge!("littoral_leader_snapshot_bytes").set(written.bytes as f64);
            metrics::gauge!("littoral_leader_snapshot_timestamp_seconds").set(shared.now_ms() as f64 / 1e3);
            let ms = begun.elapsed().as_millis() as u64;
            tracing::info!(rows = written.rows, bytes = written.bytes, as_of = as_of.0, ms, "snapshot written");
            collect_modules(shared);
            true
        }
        Err(error) => {
            metrics::counter!("littoral_leader_snapshot_failures_total").increment(1);
            tracing::warn!(%error, "the snapshot could not be written; retrying, and the log is not trimmed until then");
            false
        }
    }
}

/// Removes old snapshots, and the part of the log that the older of the two remaining ones covers.
pub(crate) fn trim(shared: &Shared) {
    let through = match snapshot::prune(&*shared.snapshots.storage) {
        Ok(lsn) => lsn,
        Err(error) => {
            tracing::warn!(%error, "old snapshots could not be removed");
            return;
        }
    };
    if through == Lsn::NONE {
        return;
    }
    let age_ms = shared.config.retention_s_max.saturating_mul(1_000);
    let before = Hlc::new(shared.now_ms().saturating_sub(age_ms), 0);
    match shared.log.trim(Retention { through, bytes_max: shared.config.retention_bytes_max, before }) {
        Ok(oldest) => metrics::gauge!("littoral_leader_log_oldest_lsn").set(oldest.0 as f64),
        Err(error) => tracing::warn!(%error, "the log could not be trimmed"),
    }
}

/// Collects old tombstones by a record of the log, so that all replicas collect them at the same record.
fn collect_tombstones(shared: &Shared) {
    let age_ms = shared.config.tombstone_retention_s.saturating_mul(1_000);
    let before = Hlc::new(shared.now_ms().saturating_sub(age_ms), 0);
    if shared.applied.table.tombstones_before(before) > 0 {
        // A leader that stops, or whose disk rejects writes, collects them later.
        let _ = anti_entropy::run_blocking(shared, Job::Append(LogCommand::Collect(before)));
    }
}

fn collect_modules(shared: &Shared) {
    match shared.modules.collect(|| shared.applied.load().catalogue.clone()) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed components that no module uses any more"),
        Err(error) => tracing::warn!(%error, "retired components could not be removed"),
    }
}
