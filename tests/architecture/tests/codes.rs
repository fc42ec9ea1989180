//! The sources use the constants of the table of error codes, so that the table lists every code with its statuses.

use littoral_architecture::{
    metadata::{self, Dependency},
    sources,
};
use std::fs;

#[test]
fn no_source_writes_an_error_code_as_text() {
    let page = fs::read_to_string(metadata::root().join("host/ERRORS.md")).expect("host/ERRORS.md can be read");
    let codes: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|word| format!("\"{word}\""))
        .collect();
    assert!(codes.len() > 50, "the table of host/ERRORS.md lists the codes: {codes:?}");
    let mut wrong = Vec::new();
    for package in metadata::packages().into_iter().filter(|package| package.directory().starts_with("host")) {
        // Only these crates create answers.
        if !package.dependencies.iter().map(Dependency::short_name).any(|name| name == "api") {
            continue;
        }
        for source in sources(&metadata::root().join(package.directory()).join("src")) {
            let text = fs::read_to_string(&source).expect("a source can be read");
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            let found = codes.iter().filter(|code| product.contains(code.as_str()));
            wrong.extend(found.map(|code| format!("{}: {code}", source.display())));
        }
    }
    assert!(wrong.is_empty(), "write these codes as constants of `littoral_api::code`: {wrong:#?}");
}
