//! The stored inputs: `corpus/TARGET/` has seeds from real data, and inputs found by fuzzing.

use std::{fs, path::PathBuf};

/// Returns the directory of all tests' fixtures.
#[must_use]
pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Returns the directory of a target's inputs.
#[must_use]
pub fn directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Returns a target's inputs, by name.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = directory(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory's entry").path())
        .collect();
    files.sort();
    (files.into_iter())
        .map(|path| {
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

/// Returns the files of a directory of fixtures with this extension, as seeds.
pub(crate) fn files(directory: PathBuf, ending: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(ending));
    paths.filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), fs::read(&path).ok()?))).collect()
}
