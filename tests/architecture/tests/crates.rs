//! `host/ARCHITECTURE.md` shows the crates as they are, and the crates keep to it.

use littoral_architecture::{
    diagram,
    metadata::{self, Dependency, Package},
};
use std::collections::BTreeSet;

/// Crates that decide without IO.
const CORES: [&str; 6] = ["model", "protocol", "edge-core", "leader-core", "lease-core", "router-core"];

/// Third-party crates that do IO, read clocks, run tasks or log. No core may depend on one.
const IMPURE: [&str; 16] = [
    "futures-util",
    "getrandom",
    "hyper",
    "hyper-util",
    "libc",
    "log",
    "metrics",
    "mio",
    "object_store",
    "rand",
    "reqwest",
    "rustix",
    "tempfile",
    "tokio",
    "tokio-util",
    "tracing",
];

fn page() -> String {
    std::fs::read_to_string(metadata::root().join("host/ARCHITECTURE.md")).expect("host/ARCHITECTURE.md can be read")
}

/// Returns the crates of the product.
fn product() -> Vec<Package> {
    metadata::packages().into_iter().filter(|package| package.directory().starts_with("host")).collect()
}

fn names(product: &[Package]) -> BTreeSet<String> {
    product.iter().map(|package| package.short_name().to_owned()).collect()
}

fn ships(dependency: &Dependency) -> bool {
    dependency.kind.as_deref() != Some("dev")
}

#[test]
fn the_diagram_shows_every_arrow_and_no_other() {
    let product = product();
    let shown = diagram::arrows(&page(), &names(&product));
    let mut wrong = Vec::new();
    for package in &product {
        let in_workspace =
            package.dependencies.iter().filter(|dependency| ships(dependency) && dependency.path.is_some());
        let known: BTreeSet<&str> = in_workspace.map(Dependency::short_name).collect();
        let drawn: BTreeSet<&str> = shown[package.short_name()].iter().map(String::as_str).collect();
        if known != drawn {
            let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
            wrong.push(format!(
                "{} depends on: {}; the diagram shows: {}",
                package.short_name(),
                list(known),
                list(drawn)
            ));
        }
    }
    assert!(wrong.is_empty(), "host/ARCHITECTURE.md, \"The crates\":\n{}", wrong.join("\n"));
    let unknown: Vec<&String> = shown.keys().filter(|name| !names(&product).contains(*name)).collect();
    assert!(unknown.is_empty(), "the diagram shows crates that do not exist: {unknown:?}");
}

#[test]
fn the_table_describes_every_crate_and_no_other() {
    assert_eq!(diagram::described(&page()), names(&product()));
}

#[test]
fn the_product_depends_on_nothing_under_tests() {
    for package in product() {
        for dependency in &package.dependencies {
            let directory = dependency.directory().unwrap_or_default();
            assert!(!directory.starts_with("tests"), "{} depends on {}", package.short_name(), dependency.name);
        }
    }
}

#[test]
fn every_library_and_program_of_the_product_warns_on_unwrap() {
    for root in product().iter().flat_map(Package::roots) {
        let text = std::fs::read_to_string(metadata::root().join(&root)).unwrap();
        assert!(
            text.contains("#![warn(clippy::unwrap_used)]"),
            "{} has no #![warn(clippy::unwrap_used)]",
            root.display()
        );
    }
}

#[test]
fn no_core_depends_on_a_crate_that_does_io_or_logs() {
    let product = product();
    for core in CORES {
        let package = product.iter().find(|package| package.short_name() == core).unwrap();
        for dependency in package.dependencies.iter().filter(|dependency| ships(dependency)) {
            assert!(!IMPURE.contains(&&*dependency.name), "{core} depends on {}", dependency.name);
        }
        let lints = metadata::root().join(package.directory()).join("clippy.toml");
        let shared = metadata::root().join("host/core-clippy.toml");
        assert_eq!(lints.canonicalize().unwrap(), shared, "{core} has the lints of the cores");
    }
}
