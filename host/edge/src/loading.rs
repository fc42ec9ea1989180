//! The progress of reading the local snapshot at a start.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// How much of the local snapshot a starting edge has read.
#[derive(Debug, Default)]
pub struct Loading {
    rows: AtomicU64,
    rows_estimate: AtomicU64,
}

impl Loading {
    pub(crate) fn begin(&self, rows_estimate: u64) {
        self.rows.store(0, Relaxed);
        self.rows_estimate.store(rows_estimate, Relaxed);
    }

    pub(crate) fn add(&self, rows: u64) {
        self.rows.fetch_add(rows, Relaxed);
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }
}

impl fmt::Display for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rows_estimate.load(Relaxed) {
            0 => f.write_str("opening the local snapshot"),
            estimate => write!(f, "read {} of about {estimate} rows of the local snapshot", self.rows()),
        }
    }
}
