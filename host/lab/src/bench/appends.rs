//! The floor of durable writes: a bare loop that appends the same bytes with the same number of fsyncs.

use crate::bench::failure::Failure;
use rustix::fs;
use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::Instant,
};

/// The amount that a writer has written to its disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Appended {
    /// Bytes.
    pub bytes: f64,
    /// fsyncs.
    pub syncs: f64,
}

impl Appended {
    /// Returns what was done between two readings of the counters.
    pub fn since(self, before: Self) -> Self {
        Self { bytes: self.bytes - before.bytes, syncs: self.syncs - before.syncs }
    }
}

/// Returns how many seconds the same appends take to a file in this directory: the shorter of the times for a growing
/// file and for a preallocated one, so that neither way of writing a log is compared with a slower floor.
///
/// # Errors
/// When a write fails.
pub fn seconds(dir: &Path, work: Appended) -> Result<f64, Failure> {
    let path = dir.join("bare-appends");
    let timed = |preallocated: bool| {
        let file = File::create(&path)?;
        if preallocated {
            fs::fallocate(&file, fs::FallocateFlags::empty(), 0, work.bytes.max(1.0) as u64)?;
        }
        let seconds = append(file, work)?;
        std::fs::remove_file(&path)?;
        Ok::<_, io::Error>(seconds)
    };
    Ok(timed(false)?.min(timed(true)?))
}

fn append(mut file: File, work: Appended) -> io::Result<f64> {
    let syncs = work.syncs.max(1.0) as usize;
    let chunk = vec![0x5A; (work.bytes / syncs as f64) as usize];
    let start = Instant::now();
    for _ in 0..syncs {
        file.write_all(&chunk)?;
        file.sync_data()?;
    }
    Ok(start.elapsed().as_secs_f64())
}
