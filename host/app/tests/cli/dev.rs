//! The local cluster: it comes up, serves, and leaves nothing behind.

use crate::support::{littoral, run, text};
use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long the nodes may take to stop.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running cluster. Killed when a test fails half way; its nodes end with it.
pub(crate) struct Dev {
    process: Child,
    line: String,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Dev {
    pub(crate) fn start(data_dir: &Path) -> Self {
        let data_dir = data_dir.to_str().unwrap();
        let mut process =
            littoral(&["dev", "--config", "edge-config/dev.toml", "--data-dir", data_dir, "--listen", "127.0.0.1:0"])
                .env("LITTORAL_DEV_LEADER_LISTEN", "127.0.0.1:0")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready door="), "{line}");
        Self { process, line }
    }

    pub(crate) fn addresses(&self, key: &str) -> Vec<String> {
        let word = self.line.trim().split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        word.unwrap().split(',').map(str::to_owned).collect()
    }

    /// Waits until nothing answers on any of its addresses any more.
    fn wait_until_silent(&self) {
        let begun = Instant::now();
        let all = [self.addresses("leader"), self.addresses("peer"), self.addresses("edges")].concat();
        assert_eq!(all.len(), 4, "{}", self.line);
        while all.iter().any(|address| TcpStream::connect(address).is_ok()) {
            assert!(begun.elapsed() < STOP_MAX, "nodes are still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn signal(process: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

#[test]
fn rows_loaded_through_an_edge_are_read_there_and_stay_for_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(dir.path());
    let door = format!("http://{}", dev.addresses("door")[0]);
    let state = dir.path().join("state.json");
    let file = "tests/fixtures/flights/route_daily_last_week.parquet";
    let load = [
        "ingest",
        "parquet",
        file,
        "--view",
        "route_daily",
        "--to",
        &door,
        "--state",
        state.to_str().unwrap(),
        "--json",
    ];
    let loaded = run(&load);
    assert!(loaded.status.success(), "{}", text(&loaded.stderr));
    let report: serde_json::Value = serde_json::from_slice(&loaded.stdout).unwrap();
    let token = report["token"].as_str().unwrap().to_owned();
    let read = |door: &str| {
        let output = run(&[
            "read",
            "--features",
            "route_daily:flights_7d",
            "--entity",
            "origin=DFW,destination=CMH",
            "--at-least",
            &token,
            "--wait",
            "10s",
            "--to",
            door,
            "--json",
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let columns = answer["columns"].as_array().unwrap().clone();
        columns.into_iter().find(|column| column["name"] == "flights_7d").unwrap()["values"][0].clone()
    };
    assert_eq!(read(&door), 29);
    signal(&dev.process, "-INT");
    assert!(dev.process.wait().unwrap().success(), "Ctrl-C is no fault");
    dev.wait_until_silent();
    let again = Dev::start(dir.path());
    assert_eq!(read(&format!("http://{}", again.addresses("door")[0])), 29);
}

#[test]
fn no_node_outlives_a_cluster_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(dir.path());
    signal(&dev.process, "-KILL");
    dev.process.wait().unwrap();
    dev.wait_until_silent();
}
