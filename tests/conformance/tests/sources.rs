//! Compares push sources with a real Feast: the same frames, the same file, the same answers.

use littoral_conformance::golden::fixtures;
use littoral_provision::{Cluster, binary, feast::Environment, missing::require};
use std::{fs, path::Path, process::Command};

#[test]
fn feast_accepts_and_rejects_the_same_frames_and_keeps_the_same_rows() {
    let name = "feast_accepts_and_rejects_the_same_frames_and_keeps_the_same_rows";
    let Some(environment) = require(name, Environment::install()) else { return };
    let cluster = Cluster::start(1).unwrap();
    let registry = fixtures().join("registry/sources.db");
    let url = cluster.edges[0].url();
    let imported = Command::new(binary::littoral())
        .args(["import", "feast"])
        .arg(registry)
        .args(["--leader", &url, "--into", "default"])
        .output()
        .unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&[imported.stdout, imported.stderr].concat()));

    let repo = tempfile::tempdir().unwrap();
    let place = format!("{}/", repo.path().display());
    for file in ["features.py", "feature_store.yaml"] {
        let text = fs::read_to_string(fixtures().join("registry/sources").join(file)).unwrap();
        fs::write(repo.path().join(file), text.replace("/data/", &place)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sources.py");
    let mut compare = environment.command(&environment.python());
    let done = compare.arg(script).arg(repo.path()).arg(&url).arg(binary::littoral()).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}
