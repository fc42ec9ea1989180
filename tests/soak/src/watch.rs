//! The resources of a process: memory, files, threads, tasks; and the size of its directory.

use littoral_provision::Node;
use serde::Serialize;
use std::{fs, io, path::Path};

/// One sample of a process's resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Held {
    /// Seconds since the beginning.
    pub second: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Open files and sockets.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// Tasks of its runtime, from its metrics.
    pub tasks: u64,
}

/// Samples a process; `None` if it has ended.
pub(crate) fn held(pid: u32, node: &mut littoral_provision::http::Client, second: u64) -> Option<Held> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.count() as u64;
    let metrics = node.get("/metrics").ok()?.text();
    let number = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|text| text.parse::<f64>().ok()).map(|number| number as u64)
    };
    let (resident_bytes, tasks) = (number("process_resident_memory_bytes")?, number("littoral_process_tasks")?);
    Some(Held { second, resident_bytes, files, threads, tasks })
}

/// Returns the bytes of all files below a directory.
///
/// # Errors
/// If it cannot be read. Files that are removed at the same time are no error.
pub(crate) fn bytes_below(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_below(&entry.path()).unwrap_or_default() } else { metadata.len() };
    }
    Ok(bytes)
}

/// Samples a node that should be calm.
pub(crate) fn held_by(node: &mut Node, second: u64) -> Option<Held> {
    let mut client = node.client();
    held(node.process().pid(), &mut client, second)
}
