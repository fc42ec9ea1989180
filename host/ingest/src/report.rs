//! What a load did.

use littoral_model::position::Lsn;
use serde::Serialize;
use std::time::Duration;

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
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Columns that no join key or feature takes, by name.
    pub columns_ignored: Vec<String>,
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

impl Report {
    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let seconds = elapsed.as_secs_f64();
        self.rows_per_second = if seconds > 0.0 { self.rows_sent as f64 / seconds } else { 0.0 };
    }
}
