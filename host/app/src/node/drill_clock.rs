//! A wall clock that is wrong on purpose, for drills.
//!
//! There is no key of a configuration file and no variable of the environment for it: only a hidden flag, which whoever starts a
//! drill's nodes gives. So nothing that is deployed can meet it by accident.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// Milliseconds since 1970, and so many more or fewer as the file says. Looks at the file again and again, for as long as the
/// process runs; one that is not there or holds no number changes nothing. Needs a tokio runtime.
pub fn wrong_by(file: PathBuf) -> Arc<dyn Fn() -> u64 + Send + Sync> {
    let offset = Arc::new(AtomicI64::new(read(&file).unwrap_or_default()));
    tracing::warn!(file = %file.display(), "this node's clock is wrong on purpose, by as many milliseconds as a file says");
    let watched = offset.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Some(ms) = read(&file)
                && watched.swap(ms, Relaxed) != ms
            {
                tracing::warn!(ms, "the clock is now wrong by so much");
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
    fn the_clock_is_wrong_by_what_the_file_says() {
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
