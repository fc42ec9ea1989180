//! Restores a leader's state at its start: from the newest undamaged snapshot, and the log after it.
//!
//! `littoral-leader-core` makes the decisions; this crate reads the snapshot and the log for it.

#![warn(clippy::unwrap_used)]

use littoral_leader_core::{Ledger, LogState, Published, Receipts, RehomingPoints, State, apply::Regional};
use littoral_log::{
    Log, OpenError, ReadError,
    snapshot::{self, Head, RawRows, RawSection, Section},
    storage::Storage,
};
use littoral_model::{
    hlc::Hlc,
    identity::Identity,
    lineage::RegionLineages,
    mutation::{Mutation, active},
    origin::Origins,
    position::{Epoch, Lsn},
    record::{Payload, Record},
};
use littoral_replica::{Config, Mode, Table};
use littoral_wire::records;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// How many bytes of the log are read at once.
const READ_LEN: usize = 4 << 20;

/// The maximum number of rows for which memory is reserved, whatever the snapshot's head states.
const RESERVE_MAX: u64 = 50_000_000;

/// Decodes and applies the rows of a snapshot, on several threads if it has them.
pub trait RestoreWorkers {
    /// Calls `work` with each section that `next` returns until it returns none, in any order and concurrently if
    /// possible. Returns when all calls have returned. Calls `next` on this thread.
    fn share(&self, next: &mut dyn FnMut() -> Option<RawRows>, work: &(dyn Fn(RawRows) + Sync));
}

/// Applies all rows on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallingThread;

impl RestoreWorkers for CallingThread {
    fn share(&self, next: &mut dyn FnMut() -> Option<RawRows>, work: &(dyn Fn(RawRows) + Sync)) {
        while let Some(rows) = next() {
            work(rows);
        }
    }
}

/// How much of the state is restored.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    rows_estimate: AtomicU64,
    records: AtomicU64,
    records_in_all: AtomicU64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, rows_estimate, records, records_in_all] =
            [&self.rows, &self.rows_estimate, &self.records, &self.records_in_all].map(|count| count.load(Relaxed));
        if records_in_all > 0 {
            write!(
                f,
                "restored {rows} rows of the snapshot, and {records} of {records_in_all} records of the log after it"
            )
        } else if rows_estimate > 0 {
            write!(f, "restored {rows} of about {rows_estimate} rows of the snapshot")
        } else {
            f.write_str("opening the log")
        }
    }
}

/// Why the state cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A snapshot cannot be used, and the log does not reach back far enough to replace it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record cannot be decoded, although its checksum is right: another version of this program wrote it.
    #[error("the record after {after} cannot be decoded: {reason}; start the version of this program that wrote it")]
    Record {
        /// The last record that was decoded.
        after: Lsn,
        /// The cause.
        reason: String,
    },
    /// The log no longer has the hash of a record that it returned a moment ago.
    #[error("the log no longer has the hash of record {lsn}; restart this process")]
    NoChain {
        /// The record.
        lsn: Lsn,
    },
    /// The log ends before the position of a snapshot: acknowledged records are missing.
    #[error(
        "the log ends with record {tail}, but the snapshot in {directory} is as of record {as_of}: log files are missing; \
         restore them, or move the data directory away to start an empty log"
    )]
    LogTooShort {
        /// The last record of the log.
        tail: Lsn,
        /// The position of the snapshot.
        as_of: Lsn,
        /// The data directory.
        directory: String,
    },
    /// No undamaged snapshot is recent enough, and the log was trimmed.
    #[error(
        "the log in {directory} starts with record {oldest}, and no usable snapshot reaches to the record before it ({last}); restore \
         the data directory from a backup, or move it away to start an empty log"
    )]
    NoSnapshot {
        /// The log's oldest record.
        oldest: Lsn,
        /// The data directory.
        directory: String,
        /// Why the newest snapshot cannot be used.
        last: String,
    },
}

/// The restored state.
#[derive(Debug)]
pub struct Recovered {
    /// The rows.
    pub table: Arc<Table>,
    /// The catalogue, the origins and the lineages.
    pub known: LogState,
    /// Conflicts between regions.
    pub ledger: Ledger,
    /// The positions of other regions' records in the part of the log that was read.
    pub rehoming: RehomingPoints,
    /// Idempotency keys.
    pub receipts: Receipts,
    /// The last record that is applied.
    pub applied: Lsn,
    /// The newest clock reading.
    pub hlc: Hlc,
    /// The position of the snapshot that was used; [`Lsn::NONE`] if there was none.
    pub snapshot_lsn: Lsn,
    /// How many records were read from the log.
    pub replayed: u64,
    /// Why newer snapshots could not be used.
    pub damaged: Vec<OpenError>,
}

/// Restores the state as of `through`, or as of a newer snapshot, into a table with the layout `config`.
///
/// `empty` creates an empty set of idempotency keys and an empty ledger of conflicts. `workers` apply the rows of a
/// snapshot, and `progress` counts them.
///
/// # Errors
/// [`RecoverError`]
pub fn recover(
    storage: &dyn Storage,
    log: &dyn Log,
    config: Config,
    through: Lsn,
    empty: impl Fn() -> (Receipts, Ledger),
    (workers, progress): (&dyn RestoreWorkers, &Progress),
) -> Result<Recovered, RecoverError> {
    let bounds = log.bounds();
    let mut unusable = "there is no snapshot".to_owned();
    let mut damaged = Vec::new();
    for lsn in snapshot::newest(storage)? {
        if lsn.next() < bounds.oldest {
            unusable = format!("the one as of record {lsn} is too old");
            break;
        }
        if lsn > bounds.tail {
            return Err(RecoverError::LogTooShort { tail: bounds.tail, as_of: lsn, directory: storage.name() });
        }
        match load(storage, log, (lsn, config), empty(), (workers, progress)) {
            Ok(mut recovered) => {
                recovered.damaged = damaged;
                replay(log, (lsn, through), &mut recovered, progress)?;
                return Ok(recovered);
            }
            Err(error @ OpenError::Damaged { .. }) => {
                unusable = error.to_string();
                damaged.push(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if bounds.oldest > Lsn::OLDEST {
        return Err(RecoverError::NoSnapshot { oldest: bounds.oldest, directory: storage.name(), last: unusable });
    }
    let (receipts, ledger) = empty();
    let mut recovered = Recovered {
        table: Arc::new(Table::new(config)),
        known: LogState::default(),
        ledger,
        rehoming: RehomingPoints::default(),
        receipts,
        applied: Lsn::NONE,
        hlc: Hlc(0),
        snapshot_lsn: Lsn::NONE,
        replayed: 0,
        damaged,
    };
    replay(log, (Lsn::NONE, through), &mut recovered, progress)?;
    Ok(recovered)
}

/// Loads the snapshot as of `lsn`. [`OpenError::Damaged`] means that an older one may be tried.
fn load(
    storage: &dyn Storage,
    log: &dyn Log,
    (lsn, config): (Lsn, Config),
    (receipts, ledger): (Receipts, Ledger),
    (workers, progress): (&dyn RestoreWorkers, &Progress),
) -> Result<Recovered, OpenError> {
    let mut reader = snapshot::Reader::open(storage, lsn)?;
    check_is_of(&reader.head, log, lsn)?;
    let Head { catalogue, hlc, rows_estimate, .. } = reader.head.clone();
    let table = Arc::new(Table::new(config));
    table.reserve(rows_estimate.min(RESERVE_MAX) as usize);
    let merges: std::collections::HashMap<_, _> = catalogue.views().map(|view| (view.id, view.merge)).collect();
    let mut beside = BesideRows { receipts, ledger, origins: Origins::default(), lineages: RegionLineages::default() };
    progress.rows.store(0, Relaxed);
    progress.rows_estimate.store(rows_estimate, Relaxed);
    // Sections may be applied in any order, because of two rows of one key the newer one is kept.
    let failed: Mutex<Option<OpenError>> = Mutex::default();
    let fail = |error| {
        failed.lock().get_or_insert(error);
    };
    let mut next = || {
        loop {
            if failed.lock().is_some() {
                return None;
            }
            match reader.next_raw_section() {
                Ok(Some(RawSection::Rows(rows))) => return Some(rows),
                Ok(Some(RawSection::Section(section))) => beside.add(section),
                Ok(None) => return None,
                Err(error) => fail(error),
            }
        }
    };
    let apply = |raw: RawRows| match raw.rows() {
        Ok(rows) => {
            progress.rows.fetch_add(rows.len() as u64, Relaxed);
            for row in rows {
                // The log has every view that was created after `as_of`, and its rows.
                let merge = merges.get(&row.header().view).copied().unwrap_or_default();
                table.apply(row, merge, Mode::InsertAll);
            }
        }
        Err(error) => fail(error),
    };
    workers.share(&mut next, &apply);
    if let Some(error) = failed.lock().take() {
        return Err(error);
    }
    reader.check_end(progress.rows.load(Relaxed))?;
    let BesideRows { receipts, ledger, origins, lineages } = beside;
    let known = LogState { catalogue, origins: Arc::new(origins), lineages: Arc::new(lineages) };
    let (snapshot_lsn, damaged, rehoming) = (lsn, Vec::new(), RehomingPoints::default());
    let applied = lsn;
    Ok(Recovered { table, known, ledger, rehoming, receipts, applied, hlc, snapshot_lsn, replayed: 0, damaged })
}

/// Checks that a snapshot as of `lsn` is of this log.
fn check_is_of(head: &Head, log: &dyn Log, lsn: Lsn) -> Result<(), OpenError> {
    let is_same = head.incarnation == log.identity().incarnation
        && log.chain_at(lsn).ok().flatten().is_none_or(|in_log| in_log == head.chain);
    if is_same {
        return Ok(());
    }
    Err(OpenError::Damaged {
        file: format!("the snapshot as of record {lsn}"),
        offset: 0,
        reason: "it belongs to another log".to_owned(),
        remedy: "remove it, or restore the whole data directory",
    })
}

/// What a snapshot has beside rows.
struct BesideRows {
    receipts: Receipts,
    ledger: Ledger,
    origins: Origins,
    lineages: RegionLineages,
}

impl BesideRows {
    fn add(&mut self, section: Section) {
        match section {
            Section::Origins(all) => self.origins = all,
            Section::Lineage(all) => self.lineages = all,
            Section::Conflicts(all) => {
                for conflict in all {
                    self.ledger.add(conflict);
                }
            }
            Section::Receipts(all) => {
                for receipt in all {
                    let range = (receipt.first, receipt.last);
                    self.receipts.insert(&receipt.idempotency_key, receipt.content, range, receipt.hlc);
                    self.receipts.set_outranked(receipt.last, receipt.outranked);
                }
            }
            // Rows arrive as raw sections.
            Section::Rows(_) => {}
        }
    }
}

/// Applies the records of the log after `after`, up to `through`.
fn replay(
    log: &dyn Log,
    (after, through): (Lsn, Lsn),
    recovered: &mut Recovered,
    progress: &Progress,
) -> Result<(), RecoverError> {
    progress.records_in_all.store(through.0.saturating_sub(after.0), Relaxed);
    let as_of = recovered.known.clone();
    let mut state = State::new(as_of, log.identity());
    let mut last = after;
    while last < through {
        let block = littoral_log::through(log.read(last.next(), READ_LEN)?, through);
        if block.bytes.is_empty() {
            break;
        }
        for record in records::iter(&block.bytes) {
            let unreadable = |reason: String| RecoverError::Record { after: last, reason };
            let record: Record<'_> = record.map_err(|error| unreadable(error.to_string()))?;
            recovered.hlc = recovered.hlc.max(record.hlc);
            if let Payload::Receipt { idempotency_key, content, first, last } = &record.payload
                && !active(Mutation::ForgetReceiptsOnReplay)
            {
                recovered.receipts.insert(idempotency_key, *content, (*first, *last), record.hlc);
                recovered.receipts.set_outranked(*last, state.outranked_rows.of(*first, *last));
            }
            let regional = Regional { ledger: &mut recovered.ledger, rehoming: &mut recovered.rehoming };
            state.replay(&recovered.table, &record, regional);
            last = record.lsn;
            recovered.replayed += 1;
            progress.records.store(recovered.replayed, Relaxed);
        }
    }
    recovered.applied = last;
    recovered.known = state.known;
    Ok(())
}

/// Returns the head of a snapshot as of the published position. The snapshot's rows are read afterwards, so they may be
/// newer, but never older.
#[must_use]
pub fn snapshot_head(published: &Published, identity: Identity, epoch: Epoch, rows_estimate: u64) -> Head {
    Head {
        region: identity.region,
        incarnation: identity.incarnation,
        epoch,
        as_of: published.position.lsn,
        chain: published.chain,
        hlc: published.hlc,
        catalogue: published.catalogue.clone(),
        rows_estimate,
    }
}
