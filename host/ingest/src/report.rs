//! The report of a load.

use littoral_model::position::Lsn;
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

/// The report of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The files.
    pub files: usize,
    /// The rows in them.
    pub rows: u64,
    /// Rows that were sent and acknowledged in this run.
    pub rows_sent: u64,
    /// Rows that an earlier run had loaded, or had not sent because another row of their key replaces them.
    pub rows_resumed: u64,
    /// Rows that the node rejected in an earlier run, and that were left out.
    pub rows_refused_before: u64,
    /// Rows that were not sent because another row of their key replaces them: a later one (`latest_only`), or one with
    /// the same event timestamp that was created later.
    pub rows_superseded: u64,
    /// Requests that were acknowledged.
    pub batches: u64,
    /// Requests that the leader had already accepted from an interrupted run.
    pub batches_known: u64,
    /// Sent rows that the leader had already accepted from an interrupted run.
    pub rows_known: u64,
    /// Sent rows that were outranked by stored rows.
    pub rows_outranked: u64,
    /// Rows that the node rejected in this run, and that were left out (`skip_refused`).
    pub rows_refused: u64,
    /// The first rejected rows.
    pub refused: Vec<RejectedRow>,
    /// Files and folders of the directory that were skipped because their names begin with `.` or `_`.
    pub files_hidden: usize,
    /// Files of the directory that were skipped because their names do not end in `.parquet`.
    pub files_other: usize,
    /// The total size of the acknowledged request bodies, in bytes.
    pub bytes_sent: u64,
    /// The names of columns that no join key or feature uses.
    pub columns_ignored: Vec<String>,
    /// Whether the log was rolled back and has lost rows of an earlier run; then all rows are sent again.
    pub lost_since: bool,
    /// Whether an earlier run had dealt with every row, so that nothing was sent.
    pub was_finished: bool,
    /// How long the run took, in milliseconds.
    pub elapsed_ms: u64,
    /// Rows sent per second.
    pub rows_per_second: f64,
    /// The freshness token of the last batch in the log: a read that demands it sees every row of this run.
    pub token: Option<String>,
    /// The position of that batch.
    #[serde(skip)]
    pub(crate) last: Lsn,
}

/// A row that the node rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// Its file.
    pub file: PathBuf,
    /// Its number in the file, from 0.
    pub row: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Report {
    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let seconds = elapsed.as_secs_f64();
        self.rows_per_second = if seconds > 0.0 { self.rows_sent as f64 / seconds } else { 0.0 };
    }
}
