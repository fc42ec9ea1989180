//! A leader and an edge with the data of the recorded Feast server.

use crate::golden::fixtures;
use littoral_provision::{
    Cluster, binary,
    cluster::{Options, eventually},
    modules,
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// The views that the recorded exchanges read, with their data files.
const VIEWS: [(&str, &str); 5] = [
    ("driver_hourly_stats", "driver_hourly_stats"),
    ("driver_hourly_stats_fresh", "driver_hourly_stats"),
    ("driver_ttl", "driver_hourly_stats"),
    ("driver_types", "driver_types"),
    ("driver_customer_stats", "driver_customer_stats"),
];

/// The on-demand views that they read, each a module.
const MODULES: [&str; 2] = ["transformed_conv_rate", "transformed_conv_rate_python"];

/// Starts the nodes, imports the registry that Feast wrote, uploads the modules, loads the rows, and waits until the
/// edge has everything.
///
/// # Panics
/// If any of it fails.
#[must_use]
pub fn start() -> Cluster {
    start_with(None, None)
}

/// Like [`start`], with a configuration of the nodes and the token that the commands send.
///
/// # Panics
/// As [`start`].
#[must_use]
pub fn start_with(config: Option<&str>, token: Option<&str>) -> Cluster {
    start_in("default", config, token)
}

/// Like [`start_with`], with everything in a project: in `default`, or in the project of the registry.
///
/// # Panics
/// As [`start`].
#[must_use]
pub fn start_in(project: &str, config: Option<&str>, token: Option<&str>) -> Cluster {
    let config = config.map(str::to_owned);
    let options = Options { leader_config: config.clone(), edge_configs: vec![config], ..Options::default() };
    let cluster = Cluster::start_with(&options).expect("the nodes start");
    let littoral = |arguments: &[&str]| littoral_as(token, &[arguments, &["--project", project]].concat());
    let import = |registry: &Path, to: &str| {
        let report = import(registry, to, (project == "default").then_some(project), token);
        assert_eq!(report["into"], project, "{report}");
        report
    };
    let to = cluster.leader.url();
    let registry = fixtures().join("registry/anchor.db");
    // The first import creates the views and reports the missing modules; with those uploaded, the second creates the
    // rest.
    let first = import(&registry, &to);
    assert!(outcome(&first, "driver_hourly_stats").contains("created"), "{first}");
    for module in MODULES {
        let component = modules::build(&format!("modules/{module}")).unwrap_or_else(|missing| panic!("{missing}"));
        let file = cluster.dir().join(format!("{module}.wasm"));
        std::fs::write(&file, component).expect("the component is written");
        littoral(&["module", "push", &text(&file), "--name", module, "--release", "1.0.0", "--to", &to]);
    }
    let second = import(&registry, &to);
    assert!(outcome(&second, "driver_activity_v1").contains("created"), "{second}");
    for (view, file) in VIEWS {
        let file = fixtures().join(format!("data/{file}.parquet"));
        // The default path is beside the file, where other tests' loads have theirs.
        let state = cluster.dir().join(format!("{view}.load.json"));
        littoral(&["ingest", "parquet", &text(&file), "--view", view, "--to", &to, "--state", &text(&state)]);
    }
    let edge = &cluster.edges[0];
    eventually("the edge has what the leader has", Duration::from_secs(30), || {
        let (leader, edge) = (cluster.leader.status(), edge.status());
        let ready = edge["modules"].as_array().is_some_and(|all| {
            all.len() == MODULES.len() && all.iter().all(|module| module["ready"] == Value::Bool(true))
        });
        ready && !leader["position"].is_null() && leader["position"] == edge["position"]
    });
    cluster
}

/// Runs a command of the product.
///
/// # Panics
/// If it fails, with its output.
pub fn littoral(arguments: &[&str]) -> String {
    littoral_as(None, arguments)
}

fn littoral_as(token: Option<&str>, arguments: &[&str]) -> String {
    let done = run(arguments, token);
    assert!(done.status.success(), "littoral {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Returns the report of an import. Its exit code is never a success here, because the registry also names two
/// on-demand views that no exchange reads.
fn import(registry: &Path, to: &str, into: Option<&str>, token: Option<&str>) -> Value {
    let registry = text(registry);
    let into = into.map_or_else(Vec::new, |name| vec!["--into", name]);
    let done = run(&[&["--json", "import", "feast", &registry, "--leader", to], into.as_slice()].concat(), token);
    serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|error| panic!("no report: {error}: {}", String::from_utf8_lossy(&done.stderr)))
}

fn outcome(report: &Value, name: &str) -> String {
    let items = report["items"].as_array().cloned().unwrap_or_default();
    let item = items.into_iter().find(|item| item["name"] == name).unwrap_or_default();
    item.to_string().to_ascii_lowercase()
}

fn run(arguments: &[&str], token: Option<&str>) -> std::process::Output {
    let token = token.map(|token| ("LITTORAL_TOKEN", token));
    Command::new(binary::littoral()).args(arguments).envs(token).stdin(Stdio::null()).output().expect("littoral runs")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
