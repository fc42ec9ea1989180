//! Files of the log that are removed while it is open.

mod support;

use littoral_log::{
    AppendError, Log as _, Retention,
    embedded::Embedded,
    storage::{Disk, Storage},
};
use littoral_model::{hlc::Hlc, position::Lsn};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use support::{append, open};

/// Creates a log of several segments, in a subdirectory, so that its directory can be moved.
fn filled() -> (tempfile::TempDir, Embedded) {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path().join("log")).unwrap());
    let log = open(&storage);
    for _ in 0..20 {
        append(&log, 4, 5_000).unwrap();
    }
    (directory, log)
}

/// Returns the files that must exist.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.ends_with("identity") || path.extension().is_some_and(|extension| extension == "seg"));
    all.sort();
    all
}

#[test]
fn the_next_batch_detects_that_the_newest_segment_is_missing() {
    let (directory, log) = filled();
    let inner = directory.path().join("log");
    let tail = log.bounds().tail;
    fs::remove_file(files(&inner).pop().unwrap()).unwrap();
    let rejected = append(&log, 1, 10).unwrap_err();
    assert!(matches!(&rejected, AppendError::Missing(_)), "{rejected}");
    assert!(rejected.to_string().contains(&inner.display().to_string()), "{rejected}");
    assert_eq!(log.bounds().tail, tail);
}

#[test]
fn a_missing_file_is_named_and_writes_succeed_once_it_is_restored() {
    let (directory, log) = filled();
    let inner = directory.path().join("log");
    assert_eq!(log.missing_files(), None);
    let aside = directory.path().join("aside");
    fs::create_dir(&aside).unwrap();
    let files = files(&inner);
    assert!(files.len() > 3, "{files:?}");
    for file in &files {
        let name = file.file_name().unwrap();
        fs::rename(file, aside.join(name)).unwrap();
        assert!(log.missing_files().unwrap().contains(name.to_str().unwrap()));
        assert!(matches!(append(&log, 1, 10), Err(AppendError::Missing(_))), "{file:?}");
        fs::rename(aside.join(name), file).unwrap();
        assert_eq!(log.missing_files(), None);
        append(&log, 1, 10).unwrap();
    }
    fs::rename(&inner, directory.path().join("moved")).unwrap();
    assert!(log.missing_files().unwrap().contains("identity"));
    append(&log, 1, 10).unwrap_err();
}

#[test]
fn trimmed_segments_do_not_count_as_missing() {
    let (_directory, log) = filled();
    let through = Lsn(log.bounds().tail.0 - 1);
    log.trim(Retention { through, bytes_max: 0, before: Hlc(0) }).unwrap();
    assert_eq!(log.missing_files(), None);
    append(&log, 4, 5_000).unwrap();
}
