//! The floor of durable writes: a bare loop that appends the same bytes with the same number of fsyncs.

use crate::failure::Failure;
use std::{fs::File, io::Write as _, path::Path, time::Instant};

/// What a writer did to its disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Appended {
    /// Bytes.
    pub bytes: f64,
    /// fsyncs.
    pub syncs: f64,
}

impl Appended {
    /// What was done between two readings of the counters.
    pub fn since(self, before: Self) -> Self {
        Self { bytes: self.bytes - before.bytes, syncs: self.syncs - before.syncs }
    }
}

/// How long, in seconds, appending that takes to a file of its own in this directory. The file grows as a log does.
///
/// # Errors
/// When the disk refuses.
pub fn seconds(dir: &Path, work: Appended) -> Result<f64, Failure> {
    let syncs = work.syncs.max(1.0) as usize;
    let chunk = vec![0x5A; (work.bytes / syncs as f64) as usize];
    let path = dir.join("bare-appends");
    let mut file = File::create(&path)?;
    let start = Instant::now();
    for _ in 0..syncs {
        file.write_all(&chunk)?;
        file.sync_data()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(seconds)
}
