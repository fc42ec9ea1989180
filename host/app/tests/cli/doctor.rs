//! `littoral doctor` next to a running cluster, and without one.

use crate::{
    dev::Dev,
    support::{run, text},
};
use std::path::{Path, PathBuf};

fn edge(dir: &Path, leader: &str) -> PathBuf {
    let file = dir.join("edge.toml");
    let data = dir.join("edge-data");
    let config = format!(
        "role = \"edge\"\nlisten = \"127.0.0.1:0\"\n[edge]\ndata_dir = \"{}\"\nfull_bytes_max = 1_048_576\n\
         resident_bytes_max = 1_048_576\n[edge.leader]\naddresses = [\"{leader}\"]\n",
        data.display()
    );
    std::fs::write(&file, config).unwrap();
    file
}

/// Returns the exit code and the findings as (level, subject, what).
fn doctor(config: &Path) -> (Option<i32>, Vec<(String, String, String)>) {
    let output = run(&["doctor", config.to_str().unwrap(), "--json"]);
    let findings: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let field = |finding: &serde_json::Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = findings.iter();
    let findings = findings.map(|it| (field(it, "level"), field(it, "subject"), field(it, "what"))).collect();
    (output.status.code(), findings)
}

#[test]
fn a_node_whose_leader_answers_has_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Dev::start(&dir.path().join("cluster"));
    let leader = cluster.addresses("peer")[0].clone();
    let (code, findings) = doctor(&edge(dir.path(), &leader));
    assert_eq!(code, Some(0), "{findings:?}");
    for subject in
        [format!("leader at {leader}"), format!("clock of leader at {leader}"), "file descriptors".to_owned()]
    {
        assert!(findings.iter().any(|(level, of, _)| level == "ok" && *of == subject), "{subject}: {findings:?}");
    }
}

#[test]
fn a_leader_that_does_not_answer_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let config = edge(dir.path(), "127.0.0.1:1");
    let (code, findings) = doctor(&config);
    assert_eq!(code, Some(1), "{findings:?}");
    let problem = findings.iter().find(|(level, ..)| level == "problem").unwrap();
    assert!(problem.1 == "leader at 127.0.0.1:1" && problem.2.contains("refused"), "{problem:?}");
    let output = run(&["doctor", config.to_str().unwrap()]);
    assert!(text(&output.stdout).contains("problem leader at 127.0.0.1:1"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("checks found a problem"), "{}", text(&output.stderr));
}
