//! Files of the log that are taken away while it is open.

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

/// A log of some segments. It lies one level down, so that its directory can be moved.
fn filled() -> (tempfile::TempDir, Embedded) {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path().join("log")).unwrap());
    let log = open(&storage);
    for _ in 0..20 {
        append(&log, 4, 5_000).unwrap();
    }
    (directory, log)
}

/// The log's files that must be there.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.ends_with("identity") || path.extension().is_some_and(|extension| extension == "seg"));
    all.sort();
    all
}

#[test]
fn the_newest_segment_is_missed_by_the_very_next_batch() {
    let (directory, log) = filled();
    let inner = directory.path().join("log");
    let tail = log.bounds().tail;
    fs::remove_file(files(&inner).pop().unwrap()).unwrap();
    let refused = append(&log, 1, 10).unwrap_err();
    assert!(matches!(&refused, AppendError::Missing(_)), "{refused}");
    assert!(refused.to_string().contains(&inner.display().to_string()), "{refused}");
    assert_eq!(log.bounds().tail, tail);
}

#[test]
fn any_file_that_is_gone_is_named_and_writing_goes_on_when_it_is_back() {
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
fn segments_that_the_log_trims_itself_are_not_missed() {
    let (_directory, log) = filled();
    let through = Lsn(log.bounds().tail.0 - 1);
    log.trim(Retention { through, bytes_max: 0, before: Hlc(0) }).unwrap();
    assert_eq!(log.missing_files(), None);
    append(&log, 4, 5_000).unwrap();
}
