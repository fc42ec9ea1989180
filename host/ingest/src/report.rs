//! What a load did.

use littoral_model::position::Lsn;
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Files.
    pub files: usize,
    /// Rows in them.
    pub rows: u64,
    /// Rows that were sent and acknowledged in this run.
    pub rows_sent: u64,
    /// Rows that an earlier run had done.
    pub rows_resumed: u64,
    /// Rows that were not sent as a later row of their key is in the files (`latest_only`).
    pub rows_superseded: u64,
    /// Requests that were acknowledged.
    pub batches: u64,
    /// Of these, how many the leader knew from an earlier run that was cut.
    pub batches_known: u64,
    /// Of the rows that were sent, how many the leader knew from an earlier run that was cut.
    pub rows_known: u64,
    /// Of the rows that were sent, how many changed nothing as newer rows of their keys are held.
    pub rows_outranked: u64,
    /// Rows that the node refused and that were left out (`skip_refused`).
    pub rows_refused: u64,
    /// The first of them.
    pub refused: Vec<Refused>,
    /// Files and folders of the directory that were left out as their names begin with `.` or `_`.
    pub files_hidden: usize,
    /// Files of the directory that were left out as their names do not end in `.parquet`.
    pub files_other: usize,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Columns that no join key or feature takes, by name.
    pub columns_ignored: Vec<String>,
    /// Whether the log has lost what an earlier run had sent, as it was put back to an older copy: all is sent again.
    pub lost_since: bool,
    /// Whether an earlier run had finished everything, and nothing was sent.
    pub was_finished: bool,
    /// How long the run took, in milliseconds.
    pub elapsed_ms: u64,
    /// Rows sent a second.
    pub rows_per_second: f64,
    /// The freshness token of the batch that stands last in the log: a read that demands it sees every row of this run.
    pub token: Option<String>,
    /// Where that batch ends in the log.
    #[serde(skip)]
    pub(crate) last: Lsn,
}

/// A row that the node refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
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
