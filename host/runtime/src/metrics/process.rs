//! The metrics of the process itself and of the disk that it uses.

use crate::{clock, memory};
use metrics::gauge;
use rustix::process::{Resource, getrlimit};
use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release},
    },
    time::UNIX_EPOCH,
};

/// The runtimes whose tasks count as the process's.
static RUNTIMES: Mutex<Vec<tokio::runtime::Handle>> = Mutex::new(Vec::new());

/// The directory whose disk is measured.
static DISK: OnceLock<PathBuf> = OnceLock::new();

/// Whether a measurement of the disk is running. A file system that hangs must not collect threads.
static MEASURING: AtomicBool = AtomicBool::new(false);

/// Counts a runtime's tasks as the process's.
pub(crate) fn count_tasks_of(runtime: &tokio::runtime::Handle) {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).push(runtime.clone());
}

/// Measures the file system that holds this directory from now on. Only the first call has an effect.
pub fn watch_disk(directory: &Path) {
    if DISK.set(directory.to_owned()).is_ok() {
        measure(directory);
    }
}

/// Records what does not change while the process runs.
pub(super) fn start() {
    if let Ok(since) = clock::system().duration_since(UNIX_EPOCH) {
        gauge!("process_start_time_seconds").set(since.as_secs_f64());
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        gauge!("process_max_fds").set(limit as f64);
    }
}

/// Records memory, descriptors and tasks.
pub(super) fn record() {
    if let Some(bytes) = memory::resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        // Without the descriptor by which they are listed.
        gauge!("process_open_fds").set(descriptors.count().saturating_sub(1) as f64);
    }
    let runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let tasks: usize = runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum();
    gauge!("littoral_process_tasks").set(tasks as f64);
}

/// Measures the disk on a thread of its own, as a network file system may block.
pub(super) fn record_disk() {
    let Some(directory) = DISK.get() else { return };
    if MEASURING.swap(true, AcqRel) {
        return;
    }
    tokio::task::spawn_blocking(move || {
        measure(directory);
        MEASURING.store(false, Release);
    });
}

fn measure(directory: &Path) {
    match rustix::fs::statvfs(directory) {
        Ok(disk) => {
            gauge!("littoral_disk_free_bytes").set(disk.f_bavail.saturating_mul(disk.f_frsize) as f64);
            gauge!("littoral_disk_size_bytes").set(disk.f_blocks.saturating_mul(disk.f_frsize) as f64);
        }
        Err(error) => {
            tracing::debug!(%error, directory = %directory.display(), "the free space of the data directory cannot be read");
        }
    }
}
