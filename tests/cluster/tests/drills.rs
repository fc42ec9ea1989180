//! `littoral drill`, `littoral dev --topology` and `littoral region`, as an operator runs them.

use littoral_provision::binary;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

fn littoral() -> Command {
    let mut command = Command::new(binary::littoral());
    command.stdin(Stdio::null()).current_dir(root());
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a drill and returns its report. Objectives of time are not checked, because the machine may be busy.
fn drill(name: &str) -> Value {
    drill_on(name, None)
}

/// Like [`drill`], on this topology of `edge-config/`.
fn drill_on(name: &str, topology: Option<&str>) -> Value {
    let page = tempfile::NamedTempFile::with_suffix(".html").unwrap();
    let mut command = littoral();
    command.args(["--json", "drill", name, "--seed", "3", "--report"]).arg(page.path());
    if let Some(topology) = topology {
        command.arg("--topology").arg(root().join("edge-config").join(topology));
    }
    let Output { stdout, stderr, .. } = command.output().unwrap();
    let output = String::from_utf8_lossy(&stderr);
    let report: Value = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    let page = std::fs::read_to_string(page.path()).unwrap();
    assert!(page.contains("<svg") && page.contains(name));
    let figures = &report["figures"];
    assert_eq!(figures["writes_lost"], serde_json::json!([]), "{report}");
    assert_eq!(figures["equal_everywhere"], serde_json::json!(true), "{report}");
    assert!(figures["first_good_read_ms"].is_u64() && figures["first_good_write_ms"].is_u64(), "{report}");
    assert!(
        figures["reads"].as_u64().unwrap() > 50 && figures["writes_acknowledged"].as_u64().unwrap() > 20,
        "{report}"
    );
    println!("{}", serde_json::to_string_pretty(figures).unwrap());
    report
}

#[test]
fn a_region_is_lost_and_returns() {
    let report = drill("active-active");
    assert_eq!(report["figures"]["writes_late"], serde_json::json!(0), "another region has every acknowledged write");
}

#[test]
fn an_edge_is_lost_and_returns() {
    drill("node-loss");
}

#[test]
fn two_regions_that_both_accepted_writes_end_equal_and_report_conflicts() {
    let report = drill("split-brain");
    assert!(report["figures"]["conflicts"].as_u64().unwrap() > 0, "both wrote the same rows: {report}");
}

/// Returns the drill's own checks, all of which passed.
fn checks(report: &Value) -> Vec<String> {
    let checks = report["figures"]["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["missed"] == serde_json::json!(0)), "{report}");
    checks.iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// Returns the text of the first event of this kind.
fn event(report: &Value, kind: &str) -> String {
    let events = report["events"].as_array().unwrap();
    let found = events.iter().find(|event| event["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {report}"));
    found["what"].as_str().unwrap().to_owned()
}

#[test]
fn a_wrong_clock_is_rejected_and_reported_and_the_region_returns_by_itself() {
    let report = drill("clock-skew");
    let checks = checks(&report);
    for wanted in ["rejections within the clocks' bound", "clocks too far apart that no leader reports"] {
        assert!(checks.iter().any(|check| check == wanted), "{checks:?}");
    }
    let output = event(&report, "detection");
    assert!(output.contains("rejects records of") && output.contains("limit: 2000 ms"), "{output}");
    assert!(report["figures"]["writes_late"].as_u64().unwrap() > 0, "records of a wrong clock were accepted: {report}");
}

#[test]
fn a_leader_with_a_damaged_log_names_it_and_starts_over_without_loss() {
    let report = drill("log-corruption");
    assert!(checks(&report).iter().any(|check| check == "damaged logs that are not rejected by name"));
    let output = event(&report, "detection");
    assert!(output.contains("it refuses to start") && output.contains(".seg"), "{output}");
    assert_eq!(report["figures"]["writes_late"], serde_json::json!(0), "another region has every acknowledged write");
}

/// Returns the events of a report, line by line.
fn events(report: &Value) -> String {
    let events = report["events"].as_array().into_iter().flatten();
    events.filter_map(|event| event["what"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_leading_member_is_killed_and_another_leads() {
    let report = drill("leader-loss");
    assert!(report["figures"]["promotion_ms"].is_u64(), "{report}");
}

#[test]
fn the_leading_member_of_one_of_two_regions_is_killed_and_all_end_equal() {
    let report = drill_on("leader-loss", Some("topology-two-regions-members.toml"));
    assert!(report["figures"]["promotion_ms"].is_u64(), "{report}");
    assert!(events(&report).contains("0 writes were acknowledged by a fenced leader"), "{report}");
}

#[test]
fn a_paused_leader_acknowledges_nothing_more_and_its_own_records_are_merged() {
    let report = drill("leader-pause");
    let events = events(&report);
    assert!(events.contains("0 writes were acknowledged by a fenced leader"), "{events}");
    assert!(events.contains("kept the detached tail"), "{events}");
}

#[test]
fn every_node_is_upgraded_in_turn_without_a_failed_request() {
    let report = drill("rolling-upgrade");
    let checks = checks(&report);
    for wanted in ["requests that failed", "nodes that do not speak the newest version"] {
        assert!(checks.iter().any(|check| check == wanted), "{checks:?}");
    }
    let figures = &report["figures"];
    assert_eq!((&figures["reads_failed"], &figures["writes_failed"]), (&0.into(), &0.into()), "{report}");
    let events = events(&report);
    for node in [
        "edge 'us-east-1'",
        "edge 'us-east-2'",
        "member 'us-east-a'",
        "member 'us-east-b'",
        "member 'us-east-c'",
        "router 1",
        "router 2",
    ] {
        for program in ["this release, held at version", "this release"] {
            assert!(events.contains(&format!("{node} runs {program}")), "{node}, {program}: {events}");
        }
    }
}

/// Stops the cluster with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its nodes end with it, because it holds the ends of their pipes.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn region(topology: &Path, arguments: &[&str]) -> (bool, String) {
    let done = littoral().arg("region").args(arguments).arg("--topology").arg(topology).output().unwrap();
    let output = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.success(), output)
}

#[test]
fn an_operator_fails_a_region_over_and_back() {
    let dir = tempfile::tempdir().unwrap();
    // Its own ports, so that it can run next to others.
    let mut text = std::fs::read_to_string(root().join("edge-config/topology-hot-standby.toml")).unwrap();
    for port in [7_165, 7_166, 7_167, 7_171, 7_265, 7_266, 7_267, 7_271] {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        text = text.replace(&format!("127.0.0.1:{port}"), &free.to_string());
    }
    let topology = dir.path().join("topology.toml");
    std::fs::write(&topology, text).unwrap();
    let mut command = littoral();
    command.args(["--json", "dev", "--listen", "127.0.0.1:0", "--topology"]).arg(&topology);
    command.arg("--data-dir").arg(dir.path().join("data")).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: '{line}'"));
    assert!(ready["door"].is_string() && ready["edges"].as_array().unwrap().len() == 4, "{ready}");

    let (fine, output) = region(&topology, &["failover", "us-east", "eu-west", "--dry-run"]);
    assert!(fine && output.contains("'eu-west' would be active"), "{output}");
    assert!(std::fs::read_to_string(&topology).unwrap().contains("role = \"standby\""), "nothing was changed");
    let (fine, output) = region(&topology, &["failover", "us-east", "eu-west"]);
    assert!(fine && output.contains("has everything"), "{output}");
    let mut router = littoral_provision::http::Client::new(ready["door"].as_str().unwrap().parse().unwrap());
    littoral_provision::cluster::eventually(
        "the router has the new topology",
        std::time::Duration::from_secs(10),
        || {
            let view = router.get("/router/v1/status").unwrap().ok().json();
            view["regions"][0]["role"] == "draining" && view["regions"][1]["role"] == "active"
        },
    );
    let (fine, output) = region(&topology, &["list"]);
    assert!(fine && output.contains("draining") && output.contains("up at"), "{output}");
    let back = ["failback", "us-east", "eu-west", "--steps", "50,100", "--hold", "100ms"];
    let (fine, output) = region(&topology, &back);
    assert!(fine && output.contains("50%") && output.contains("'eu-west' is standby"), "{output}");
    let (fine, output) = region(&topology, &back);
    assert!(fine, "it can be repeated: {output}");
    let (fine, output) = region(&topology, &["promote", "mars"]);
    assert!(!fine && output.contains("there is no region 'mars'; its regions are us-east, eu-west"), "{output}");
}
