//! The real Feast SDK, with `online_store: remote`, against an edge.

use littoral_conformance::{fixture, golden::fixtures};
use littoral_provision::{feast::Environment, missing::require};
use std::{fs, path::Path};

#[test]
fn feasts_sdk_reads_writes_and_pushes_at_an_edge() {
    let Some(environment) = require("feasts_sdk_reads_writes_and_pushes_at_an_edge", Environment::install()) else {
        return;
    };
    let cluster = fixture::start();
    run(&environment, &cluster.edges[0].url());
}

#[test]
fn feasts_sdk_works_inside_a_project_by_its_path() {
    let Some(environment) = require("feasts_sdk_works_inside_a_project_by_its_path", Environment::install()) else {
        return;
    };
    let cluster = fixture::start_in("edge_anchor", None, None);
    let edge = &cluster.edges[0];
    run(&environment, &format!("{}/p/edge_anchor", edge.url()));
    let views = edge.client().get("/v1/views").unwrap().json();
    assert_eq!(views["views"], serde_json::json!([]), "nothing is in the default project");
}

/// Runs the SDK's script against the server at `url`.
fn run(environment: &Environment, url: &str) {
    let repo = tempfile::tempdir().unwrap();
    fs::copy(fixtures().join("client_repo/features.py"), repo.path().join("features.py")).unwrap();
    let store = fs::read_to_string(fixtures().join("client_repo/feature_store.yaml")).unwrap();
    assert!(store.contains("http://127.0.0.1:6566"), "the repository names a server");
    fs::write(repo.path().join("feature_store.yaml"), store.replace("http://127.0.0.1:6566", url)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sdk.py");
    let done = environment
        .command(&environment.python())
        .arg(script)
        .arg(repo.path())
        .env("FEAST_ANCHOR_DATA", fixtures().join("data"))
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}
