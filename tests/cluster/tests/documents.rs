//! Checks the documents against the sources: links resolve, and RELIABILITY names tests that exist.

use littoral_provision::cache;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Returns all files below a directory with this extension, except those of builds.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.file_name().is_some_and(|name| name != "target"))
        .flat_map(|path| match path.is_dir() {
            true => files(&path, extension),
            false if path.extension().is_some_and(|found| found == extension) => vec![path],
            false => Vec::new(),
        })
        .collect()
}

/// Returns the names of all functions in the sources.
fn functions() -> BTreeSet<String> {
    let sources = ["host", "tests", "guest"].map(|dir| files(&cache::workspace().join(dir), "rs"));
    let mut names = BTreeSet::new();
    for source in sources.into_iter().flatten() {
        let text = fs::read_to_string(source).unwrap();
        let found = text.split("fn ").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_'));
        names.extend(found.filter_map(|mut words| words.next().map(str::to_owned)));
    }
    names
}

#[test]
fn reliability_names_tests_that_exist() {
    let functions = functions();
    let text = fs::read_to_string(cache::workspace().join("host/RELIABILITY.md")).unwrap();
    let mut wrong = Vec::new();
    for cell in text.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.split(" | ").nth(1)) {
        for word in cell.split('`').skip(1).step_by(2) {
            let exists = if word.starts_with("host/") || word.starts_with("tests/") {
                let path = cache::workspace().join(word);
                path.exists() || path.with_extension("rs").exists()
            } else if let Some(start) = word.strip_suffix('…') {
                functions.range(start.to_owned()..).next().is_some_and(|name| name.starts_with(start))
            } else {
                word.contains('.') || functions.contains(word)
            };
            if !exists {
                wrong.push(word);
            }
        }
    }
    assert!(wrong.is_empty(), "host/RELIABILITY.md names tests that do not exist: {wrong:#?}");
}

#[test]
fn links_between_documents_resolve() {
    let mut documents = files(&cache::workspace().join("host"), "md");
    documents.push(cache::workspace().join("README.md"));
    let mut wrong = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let slug = |line: &str| -> String {
                let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                text.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
            };
            let found = match heading {
                "" => target.exists(),
                _ => fs::read_to_string(&target)
                    .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && slug(line) == heading)),
            };
            if !found {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that do not resolve: {wrong:#?}");
}
