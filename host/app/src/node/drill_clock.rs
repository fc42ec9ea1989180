//! A wall clock that is wrong on purpose, for drills.
//!
//! Neither a configuration key nor an environment variable sets it, only a hidden flag that drills give to their nodes.
//! So a deployed node cannot get it by accident.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How often the file is read.
const EVERY: Duration = Duration::from_millis(20);

/// Returns a clock in milliseconds since 1970 that differs from the wall clock by the number in the file. The file is
/// read again and again while the process runs; one that is missing or holds no number changes nothing. Requires a
/// tokio runtime.
pub fn wrong_by(file: PathBuf) -> Arc<dyn Fn() -> u64 + Send + Sync> {
    let offset = Arc::new(AtomicI64::new(read(&file).unwrap_or_default()));
    tracing::warn!(file = %file.display(), "this node's clock is wrong on purpose, by the milliseconds in a file");
    let watched = offset.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Some(ms) = read(&file)
                && watched.swap(ms, Relaxed) != ms
            {
                tracing::warn!(ms, "the error of the clock has changed");
            }
        }
    });
    Arc::new(move || shifted(littoral_runtime::clock::wall().0, offset.load(Relaxed)))
}

fn shifted(wall_ns: i64, offset_ms: i64) -> u64 {
    u64::try_from((wall_ns / 1_000_000).saturating_add(offset_ms)).unwrap_or_default()
}

fn read(file: &Path) -> Option<i64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_sets_the_error_of_the_clock() {
        assert_eq!((shifted(5_000_000, 3), shifted(5_000_000, -3), shifted(5_000_000, -9)), (8, 2, 0));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock");
        assert_eq!(read(&file), None);
        std::fs::write(&file, "-2500\n").unwrap();
        assert_eq!(read(&file), Some(-2_500));
        std::fs::write(&file, "late").unwrap();
        assert_eq!(read(&file), None);
    }
}
