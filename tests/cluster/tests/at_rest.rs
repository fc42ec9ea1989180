//! An edge's stored files are encrypted: nothing in its data directory is readable, whenever it is killed, and keys are
//! rotated without losing warmth.

use littoral_cluster::{accounts, damage};
use littoral_provision::{
    Cluster, Node, Plan, binary,
    cluster::{Options, eventually},
    modules,
};
use rustix::process::Signal;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Is in every row that is written here.
const PLANTED: &str = "planted-note-of-a-row";
/// How a component and native code begin.
const WASM: &[u8] = b"\0asm\x0d\0\x01\0";
const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

const ROWS: i64 = 200;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Runs the command. Returns whether it succeeded, and everything that it prints.
fn littoral(arguments: &[&str]) -> (bool, String) {
    let done = Command::new(binary::littoral()).args(arguments).output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

fn add_key(name: &str, ring: &Path) -> String {
    let (added, output) = littoral(&["key-ring", "add", name, "--file", ring.to_str().unwrap()]);
    assert!(added, "{output}");
    output
}

/// Returns the keys of a ring, without their names.
fn secrets(ring: &Path) -> Vec<String> {
    let text = fs::read_to_string(ring).unwrap();
    text.lines().filter_map(|line| Some(line.split_once(':')?.1.to_owned())).collect()
}

/// Writes an edge's configuration: snapshots every second, encrypted with this ring.
fn config(ring: Option<&Path>) -> String {
    let at_rest =
        ring.map(|ring| format!("[at_rest]\nkey_ring = \"{}\"\nreload_ms = 50\n", ring.display())).unwrap_or_default();
    format!("[edge]\nsnapshot_interval_s = 1\nreconnect_ms_max = 200\n{at_rest}[logging]\nlevel = \"debug\"\n")
}

fn write_rows(node: &Node, version: i64) {
    let rows: Vec<_> = (0..ROWS).map(|id| accounts::row_with(id, version, &format!("{PLANTED} {id}"))).collect();
    accounts::must_write(&mut node.client(), &rows);
}

/// Writes rows and pushes a module.
fn fill(cluster: &Cluster) {
    accounts::make_view(&cluster.leader);
    write_rows(&cluster.leader, 1);
    let component = cluster.dir().join("module.wasm");
    fs::write(&component, modules::build("modules/transformed_conv_rate").unwrap()).unwrap();
    let view = serde_json::json!({ "entities": [{ "name": "driver_id", "value_type": "int64" }],
        "features": [{ "name": "conv_rate", "value_type": "float" }] });
    cluster.leader.client().put("/v1/views/driver_hourly_stats", &view).unwrap().ok();
    let (component, url) = (component.to_str().unwrap().to_owned(), cluster.leader.url());
    let (pushed, output) = littoral(&["module", "push", &component, "--name", "conv", "--release", "1", "--to", &url]);
    assert!(pushed, "{output}");
    accounts::catch_up(cluster);
}

/// Returns the files of a directory that contain one of these.
fn containing(dir: &Path, planted: &[&[u8]]) -> Vec<PathBuf> {
    let contains = |file: &PathBuf| {
        // A file may be replaced meanwhile.
        let bytes = fs::read(dir.join(file)).unwrap_or_default();
        planted.iter().any(|planted| bytes.windows(planted.len()).any(|window| window == *planted))
    };
    damage::files(dir).unwrap_or_default().into_iter().filter(contains).collect()
}

/// Returns how many files of an edge are under which key, by the metric.
fn by_key(node: &Node, key: &str) -> Option<f64> {
    let metrics = node.admin().get("/metrics").ok()?.text();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("littoral_at_rest_files{") && line.contains(&format!("key=\"{key}\"")));
    Some(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

fn metric(node: &Node, name: &str) -> Option<f64> {
    let metrics = node.admin().get("/metrics").ok()?.text();
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Checks that an edge answers from its local snapshot while its leader is away.
fn is_warm(edge: &Node, version: i64) {
    let ids: Vec<_> = (0..ROWS).collect();
    assert_eq!(accounts::must_read(&mut edge.client(), &ids), vec![Some(version); ROWS as usize]);
}

#[test]
fn nothing_in_the_data_directory_is_readable_even_after_kills() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring");
    let printed = add_key("2026-11", &ring);
    let edges = vec![Some(config(None)), Some(config(Some(&ring)))];
    let mut cluster = Cluster::start_with(&Options { edge_configs: edges, ..Options::default() }).unwrap();
    fill(&cluster);
    let planted = [PLANTED.as_bytes(), WASM, ELF];
    let snapshot = |node: &Node| node.data_dir().join("replica.snapshot").exists();
    eventually("both edges have stored everything", WAIT_MAX, || cluster.edges.iter().all(snapshot));
    for planted in planted {
        let found = containing(cluster.edges[0].data_dir(), &[planted]);
        assert!(!found.is_empty(), "the plain edge has it: this test would find it");
    }
    // Killed while snapshots are written again and again.
    for round in 0..12 {
        write_rows(&cluster.leader, 2 + round);
        std::thread::sleep(Duration::from_millis(900 + 37 * round as u64));
        assert_eq!(containing(cluster.edges[1].data_dir(), &planted), [""; 0].map(PathBuf::from));
        cluster.edges[1].kill();
        let found = containing(cluster.edges[1].data_dir(), &planted);
        assert_eq!(found, [""; 0].map(PathBuf::from), "after kill {round}");
        cluster.edges[1].restart().unwrap();
        accounts::catch_up(&cluster);
    }
    // No part of the key is in what the edge or the command prints.
    let log = fs::read_to_string(cluster.dir().join("edge-2.log")).unwrap();
    let status = cluster.edges[1].status().to_string();
    let metrics = cluster.edges[1].admin().get("/metrics").unwrap().text();
    for secret in secrets(&ring) {
        assert!(secret.len() == 44);
        for shown in [&printed, &log, &status, &metrics] {
            assert!(!shown.contains(&secret[..20]), "a key is shown");
        }
    }
}

#[test]
fn keys_are_rotated_under_kills_and_the_edge_stays_warm() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring");
    add_key("k0", &ring);
    let edges = vec![Some(config(Some(&ring)))];
    let mut cluster = Cluster::start_with(&Options { edge_configs: edges, ..Options::default() }).unwrap();
    fill(&cluster);
    cluster.edges[0].restart().unwrap();
    accounts::catch_up(&cluster);
    assert!(cluster.edges[0].stop().is_some_and(|status| status.success()));
    cluster.leader.kill();
    // From here on, only the files of the edge have the rows.
    cluster.edges[0].restart().unwrap();
    for round in 1..=10_u64 {
        let key = format!("k{round}");
        add_key(&key, &ring);
        // Before the edge notices, while it encrypts, or afterwards.
        std::thread::sleep(Duration::from_millis(round * 23 % 190));
        cluster.edges[0].kill();
        cluster.edges[0].restart().unwrap();
        is_warm(&cluster.edges[0], 1);
        if round % 3 == 0 {
            eventually("every file is under the first key", WAIT_MAX, || {
                by_key(&cluster.edges[0], &key) >= Some(3.0)
                    && (0..round).all(|old| by_key(&cluster.edges[0], &format!("k{old}")) == Some(0.0))
            });
            // The old keys can be removed.
            let text = fs::read_to_string(&ring).unwrap();
            fs::write(&ring, text.lines().next().unwrap()).unwrap();
        }
    }
    let edge = &mut cluster.edges[0];
    eventually("every file is under the last key", WAIT_MAX, || by_key(edge, "k10") >= Some(3.0));
    assert_eq!(by_key(edge, "plain"), Some(0.0));
    is_warm(edge, 1);
    // The operator's view.
    let file = edge.data_dir().with_file_name("edge-1.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("[edge]", &format!("[edge]\ndata_dir = \"{}\"", edge.data_dir().display()));
    fs::write(&file, text).unwrap();
    let (_, output) = littoral(&["doctor", file.to_str().unwrap()]);
    assert!(output.contains("files encrypted with the first key, 'k10': 3"), "{output}");
    assert!(output.contains("no file needs the key 'k9': it can be removed"), "{output}");
    edge.kill();
    let other = dir.path().join("other");
    add_key("x", &other);
    let text = fs::read_to_string(&file).unwrap().replace(ring.to_str().unwrap(), other.to_str().unwrap());
    fs::write(&file, text).unwrap();
    let (succeeded, output) = littoral(&["doctor", file.to_str().unwrap()]);
    assert!(!succeeded && output.contains("the key 'k10' is in no key ring of this node"), "{output}");
}

#[test]
fn a_bad_key_ring_is_reported_and_a_running_edge_keeps_the_last_valid_one() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dir.path().join("ring");
    let cluster = Cluster::start(0).unwrap();
    let peer = cluster.leader.ready.peer.unwrap();
    let plan = Plan::edge("edge", &dir.path().join("edge"), peer).with_config(&config(Some(&ring)));
    let start_error = || Node::start(plan.clone()).map(drop).unwrap_err().to_string();
    let write = |text: &str, mode| {
        fs::write(&ring, text).unwrap();
        fs::set_permissions(&ring, fs::Permissions::from_mode(mode)).unwrap();
    };
    assert!(start_error().contains("cannot be read"), "{}", start_error());
    add_key("good", &ring);
    let good = fs::read_to_string(&ring).unwrap();
    let secret = secrets(&ring).remove(0);
    for (text, mode, expected) in [
        (&*good, 0o644, "chmod it to 600"),
        ("", 0o600, "it has no key"),
        ("<!DOCTYPE html><html></html>", 0o600, "line 1: an entry has not the form ID:KEY"),
        (&secret, 0o600, "line 1: an entry has not the form ID:KEY"),
        (&good[..good.len() - 9], 0o600, "the key 'good' has"),
        (&format!("{good}{good}"), 0o600, "a second key is named 'good'"),
        (&format!("{good}other:{secret}"), 0o600, "are the same key"),
    ] {
        write(text, mode);
        let error = start_error();
        let found = error.contains("[at_rest]") && error.contains(ring.to_str().unwrap()) && error.contains(expected);
        assert!(found, "{expected}: {error}");
        assert!(!error.contains(&secret[..12]), "{error}");
    }
    write(&good, 0o600);
    let mut edge = Node::start(plan.clone()).unwrap();
    accounts::make_view(&cluster.leader);
    eventually("the key ring is valid", WAIT_MAX, || metric(&edge, "littoral_at_rest_key_ring_valid") == Some(1.0));
    write("<html>", 0o600);
    eventually("the change is rejected", WAIT_MAX, || metric(&edge, "littoral_at_rest_key_ring_valid") == Some(0.0));
    add_to(&ring, &good, "next");
    edge.signal(Signal::HUP).unwrap();
    eventually("the next key is in force", WAIT_MAX, || by_key(&edge, "next") >= Some(1.0));
    assert_eq!(metric(&edge, "littoral_at_rest_key_ring_valid"), Some(1.0));
    // Without its section, the edge does not go on with plain files.
    assert!(edge.stop().is_some_and(|status| status.success()));
    let error = Node::start(plan.clone().with_config(&config(None))).map(drop).unwrap_err().to_string();
    assert!(error.contains("encrypted with the key 'next'") && error.contains("configure [at_rest]"), "{error}");
    // From the environment.
    let text = config(None).replace("[logging]", "[at_rest]\nkey_ring_env = \"EDGE_KEYS\"\n[logging]");
    let plan = plan.with_config(&text);
    let error = Node::start(plan.clone()).map(drop).unwrap_err().to_string();
    assert!(error.contains("EDGE_KEYS") && error.contains("is not set"), "{error}");
    let keys = fs::read_to_string(&ring).unwrap();
    let edge = Node::start(Plan { env: vec![("EDGE_KEYS".to_owned(), keys)], ..plan }).unwrap();
    eventually("its files are readable", WAIT_MAX, || by_key(&edge, "next") >= Some(1.0));
}

/// Writes a ring with a new key before the others.
fn add_to(ring: &Path, text: &str, name: &str) {
    let whole = ring.with_extension("whole");
    fs::write(&whole, text).unwrap();
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o600)).unwrap();
    add_key(name, &whole);
    fs::rename(&whole, ring).unwrap();
}
