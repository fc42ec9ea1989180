//! The maintenance thread: snapshots, trimming, old tombstones, retired modules, and files made ready ahead of time.

use crate::{
    proof,
    shared::{Job, Shared},
};
use littoral_leader_core::Work;
use littoral_log::{
    Retention,
    snapshot::{self, Remembered},
};
use littoral_model::{hlc::Hlc, lives::RegionLives, origin::Origins, position::Lsn};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How often the thread looks without being nudged.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often the log's durable tail is noted down.
const MARK_EVERY: Duration = Duration::from_secs(2);
/// However often checkpoints are wanted, the thread rests in between.
const SHORTEST_PARK: Duration = Duration::from_millis(5);
/// How often the log and its snapshots are looked for on the disk.
const LOOK_FOR_FILES_EVERY: Duration = Duration::from_secs(1);
/// How often the log is looked at for what may be trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(10);
/// How long after a failure a snapshot is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The longest rest while a snapshot is written, however slow the disk is.
const REST_MAX: Duration = Duration::from_millis(200);
/// Rows that are held together while a snapshot is written.
const ROWS_PER_CHUNK: usize = 2_048;

/// Runs until `stop`. `replayed` bytes of log already stand behind the last snapshot.
pub(crate) fn run(shared: &Shared, stop: &AtomicBool, replayed: u64) {
    let mut snapshot_at = shared.config.snapshot_log_bytes.saturating_sub(replayed);
    let mut trim_at = Instant::now();
    let mut retry_at = Instant::now();
    let mut prove_at = Instant::now();
    let mut mark_at = Instant::now();
    let mut look_at = Instant::now();
    while !stop.load(Relaxed) {
        if Instant::now() >= look_at {
            look_for_log(shared);
            if snapshot_is_gone(shared) {
                snapshot_at = 0;
            }
            look_at = Instant::now() + LOOK_FOR_FILES_EVERY;
        }
        shared.log.prepare();
        begin_life(shared);
        let appended = shared.appended_bytes.load(Relaxed);
        if appended >= snapshot_at && Instant::now() >= retry_at {
            if take_snapshot(shared, &|| stop.load(Relaxed)) {
                snapshot_at = appended + shared.config.snapshot_log_bytes;
                trim_at = Instant::now();
            } else {
                retry_at = Instant::now() + RETRY_AFTER;
            }
        }
        if Instant::now() >= trim_at {
            trim(shared);
            trim_at = Instant::now() + TRIM_EVERY;
        }
        if Instant::now() >= mark_at {
            mark(shared);
            mark_at = Instant::now() + MARK_EVERY;
        }
        if shared.config.checkpoint_interval_ms > 0 && Instant::now() >= prove_at {
            prove_at = Instant::now() + Duration::from_millis(shared.config.checkpoint_interval_ms);
            proof::take_checkpoint(shared);
        }
        std::thread::park_timeout(
            LOOK_EVERY.min(prove_at.saturating_duration_since(Instant::now()).max(SHORTEST_PARK)),
        );
    }
    // Nothing is appended any more.
    mark(shared);
}

/// Says when files of the log are gone, and when they are back: the log refuses writes in between.
fn look_for_log(shared: &Shared) {
    let mut gone = shared.files_gone.lock();
    let missing = shared.log.missing_files();
    match (&*gone, &missing) {
        (None, Some(missing)) => {
            tracing::error!(
                missing,
                "files of the log are gone: no write is taken until they are back as they were, or this leader is stopped and \
                 its data directory restored"
            );
            metrics::gauge!("littoral_leader_log_files_missing").set(1.0);
        }
        (Some(_), None) => {
            tracing::info!("the files of the log are back, and writes are taken again");
            metrics::gauge!("littoral_leader_log_files_missing").set(0.0);
            // What else is wrong with the disk the next write finds out.
            shared.trouble.lock().take();
        }
        _ => {}
    }
    *gone = missing;
}

/// Whether the last snapshot has been taken away. The next start may need one, as the log before it is trimmed: another is
/// written.
fn snapshot_is_gone(shared: &Shared) -> bool {
    let last = Lsn(shared.snapshot_lsn.load(Relaxed));
    // A disk that does not answer says nothing about files.
    let Ok(there) = snapshot::newest(&*shared.storage) else { return false };
    if last == Lsn::NONE || there.contains(&last) {
        return false;
    }
    tracing::warn!(as_of = last.0, "the last snapshot is gone from the data directory; another one is written");
    shared.snapshot_lsn.store(0, Relaxed);
    true
}

/// Begins the life of the log that could not be begun when it was opened: the disk was full, or failed.
fn begin_life(shared: &Shared) {
    if shared.core.lock().is_unbegun() {
        let life = shared.draw_life();
        // Refused by a disk that is still full, it is tried again.
        let _ = proof::submit(shared, Job::Append(Work::Begin { life, put_back: false }));
    }
}

/// Notes down how far the log is durable. A failure only means that the next start knows of less.
fn mark(shared: &Shared) {
    if let Err(error) = shared.log.mark() {
        tracing::warn!(%error, "the log's tail could not be noted down");
    }
}

/// The rows of a snapshot, in chunks. Between two chunks the thread rests as long as the one before took to be encoded and written,
/// so that writes keep half of the disk and of a core, unless `hurried` says that nobody writes any more.
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

/// Writes a snapshot, then collects what it makes superfluous. False when it could not be written. It rests in between unless it is
/// `hurried`.
pub(crate) fn take_snapshot(shared: &Shared, hurried: &dyn Fn() -> bool) -> bool {
    if shared.proof.is_suspect() {
        tracing::error!(
            "no snapshot is written of rows that have changed in memory; restart this leader, which restores them"
        );
        return false;
    }
    collect_tombstones(shared);
    // First the position, then the rows: rows may be newer than it, never older.
    let published = shared.published.load_full();
    let as_of = published.position.lsn;
    let epoch = shared.log.history().epoch_at(as_of).unwrap_or_else(|| shared.epoch());
    if as_of.0 == shared.snapshot_lsn.load(Relaxed) {
        return true;
    }
    let receipts = shared.receipts.lock().through(as_of);
    let (origins, lives) = (Origins::clone(&published.origins), RegionLives::clone(&published.lives));
    // Of what the rows show after this, the log tells again.
    let conflicts = shared.ledger.lock().iter().cloned().collect();
    let remembered = Remembered { receipts, origins, lives, conflicts };
    let head = published.snapshot_head(shared.identity, epoch, shared.table.len() as u64);
    let begun = Instant::now();
    let chunks = Paced { chunks: shared.table.chunks(ROWS_PER_CHUNK), given: None, hurried };
    match snapshot::write(&*shared.storage, &head, chunks, &remembered) {
        Ok(written) => {
            shared.snapshot_lsn.store(as_of.0, Relaxed);
            metrics::histogram!("littoral_leader_snapshot_seconds").record(begun.elapsed().as_secs_f64());
            metrics::gauge!("littoral_leader_snapshot_bytes").set(written.bytes as f64);
            let ms = begun.elapsed().as_millis() as u64;
            tracing::info!(rows = written.rows, bytes = written.bytes, as_of = as_of.0, ms, "snapshot written");
            collect_modules(shared);
            true
        }
        Err(error) => {
            metrics::counter!("littoral_leader_snapshot_failures_total").increment(1);
            tracing::warn!(%error, "the snapshot could not be written; it is tried again, and the log is not trimmed until then");
            false
        }
    }
}

/// Removes old snapshots, and what of the log the older of the two that are kept makes superfluous.
pub(crate) fn trim(shared: &Shared) {
    let through = match snapshot::prune(&*shared.storage) {
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

/// Has old tombstones collected, by a record of the log: replicas must agree on when they go.
fn collect_tombstones(shared: &Shared) {
    let age_ms = shared.config.tombstone_retention_s.saturating_mul(1_000);
    let before = Hlc::new(shared.now_ms().saturating_sub(age_ms), 0);
    if shared.table.tombstones_before(before) > 0 {
        // A leader that is stopping, or whose disk refuses writes, does it another time.
        let _ = proof::submit(shared, Job::Append(Work::Collect(before)));
    }
}

fn collect_modules(shared: &Shared) {
    match shared.modules.collect(|| shared.published.load().catalogue.clone()) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "components that no name means any more were removed"),
        Err(error) => tracing::warn!(%error, "retired components could not be removed"),
    }
}
