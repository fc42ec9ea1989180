//! Configuration files of every role, and files of definitions.

use super::check_words;
use crate::{
    Target,
    config::{self, Override, dev, edge, leader, router},
    corpus::files,
    definitions_file,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

pub(super) const TARGET: Target = Target {
    name: "configuration",
    run: configuration,
    seeds: || files(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../edge-config"), ".toml"),
    memory: (4 << 20, 2_048),
};

/// The loader reads files, so there is one.
static FILE: LazyLock<tempfile::TempPath> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().suffix(".toml").tempfile_in(directory).expect("a temporary file").into_temp_path()
});

/// A file is accepted, or rejected with its name, the location and the reason; loading it again gives the same text.
fn configuration(input: &[u8]) {
    let path: &Path = &FILE;
    fs::write(path, input).expect("a temporary file is written");
    let none: &[Override] = &[];
    let outcomes = || {
        let text = String::from_utf8_lossy(input);
        [
            config::load::<leader::File>(Some(path), none).map(drop).map_err(|problem| vec![problem]),
            config::load::<edge::File>(Some(path), none).map(drop).map_err(|problem| vec![problem]),
            config::load::<dev::File>(Some(path), none).map(drop).map_err(|problem| vec![problem]),
            config::load::<router::File>(Some(path), none).map(drop).map_err(|problem| vec![problem]),
            definitions_file::parse(path, &text).map(drop),
        ]
    };
    let first = outcomes();
    let name = path.display().to_string();
    for problem in first.iter().filter_map(|outcome| outcome.as_ref().err()).flatten() {
        let words = problem.to_string();
        check_words(&words);
        assert!(words.contains(&name), "{words} does not name the file");
    }
    assert_eq!(first, outcomes());
}
