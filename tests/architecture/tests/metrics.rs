//! The sources record exactly the metrics that `host/METRICS.md` lists.

use littoral_architecture::metadata;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Returns all sources below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the directory can be read").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false if path.extension().is_some_and(|found| found == "rs") => vec![path],
            false => Vec::new(),
        })
        .collect()
}

/// Returns the metrics that the sources record, by name, with their types.
fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata::packages().into_iter().filter(|package| package.directory().starts_with("host")) {
        for source in sources(&metadata::root().join(package.directory()).join("src")) {
            let text = fs::read_to_string(&source).expect("a source can be read");
            for kind in ["counter", "gauge", "histogram"] {
                for rest in text.split(&format!("{kind}!(")).skip(1) {
                    let Some(name) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                        continue;
                    };
                    recorded.entry(name.to_owned()).or_default().insert(kind.to_owned());
                }
            }
        }
    }
    recorded
}

#[test]
fn the_page_lists_what_the_sources_record() {
    let page = fs::read_to_string(metadata::root().join("host/METRICS.md")).expect("host/METRICS.md can be read");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeMap<String, BTreeSet<String>> = rows
        .filter_map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            Some((name, BTreeSet::from([cells.next()?.to_owned()])))
        })
        .collect();
    assert_eq!(recorded(), listed, "host/METRICS.md lists the metrics of the sources, each with its type");
}
