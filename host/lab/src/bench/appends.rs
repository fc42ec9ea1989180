//! The floor of durable writes: a bare loop that appends the same bytes with the same number of fsyncs.

use crate::bench::failure::Failure;
use rustix::fs;
use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::Instant,
};

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

/// How long, in seconds, appending that takes to a file of its own in this directory: the shorter of a file that grows
/// and of one whose space was set aside, so that no way of writing a log gets a better floor than it deserves.
///
/// # Errors
/// When the disk refuses.
pub fn seconds(dir: &Path, work: Appended) -> Result<f64, Failure> {
    let path = dir.join("bare-appends");
    let timed = |set_aside: bool| {
        let file = File::create(&path)?;
        if set_aside {
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
