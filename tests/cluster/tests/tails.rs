//! A single leader whose data directory is restored from an older copy, and the rows of its edges that it has lost.

use littoral_cluster::{accounts, copies, equality};
use littoral_provision::{
    Cluster, Node, binary,
    cluster::{Options, eventually},
};
use serde_json::{Value, json};
use std::{fs, process::Command, time::Duration};

const WAIT_MAX: Duration = Duration::from_secs(60);

const EDGE: &str = "[edge]\nreconnect_ms_max = 200\n";

/// Runs `littoral tails ACTION.. --to NODE`. Returns whether it succeeded, and its answer.
fn tails(node: &Node, action: &[&str]) -> (bool, Value) {
    let mut command = Command::new(binary::littoral());
    let output = command.args(["--json", "tails"]).args(action).args(["--to", &node.url()]).output().unwrap();
    let text = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.success(), serde_json::from_slice(text).unwrap_or_else(|_| String::from_utf8_lossy(text).into()))
}

fn ok((succeeded, answer): (bool, Value)) -> Value {
    assert!(succeeded, "{answer}");
    answer
}

/// Writes a row under an idempotency key.
fn write_once(node: &Node, row: Value, key: &str) -> Value {
    accounts::write_with(&mut node.client(), &[row], &[("idempotency-key", key)]).unwrap().ok().json()
}

/// Returns a row as a node holds it, without its LSN.
fn held(node: &Node, id: i64) -> Option<Value> {
    let rows = equality::held_rows(node);
    let mut row = rows.into_iter().find(|row| row["key"]["account_id"] == id)?;
    row.as_object_mut().unwrap().remove("lsn");
    Some(row)
}

fn holds(node: &Node, balances: &[Option<i64>]) {
    let ids: Vec<i64> = (1..=balances.len() as i64).collect();
    eventually(&format!("it holds {balances:?}"), WAIT_MAX, || {
        accounts::read(&mut node.client(), &ids, &[])
            .is_ok_and(|answer| answer.status == 200 && accounts::balances(&answer) == balances)
    });
}

/// Checks that the token is reported as lost, not as unmet in time.
fn is_lost(node: &Node, token: &str) {
    let headers = [("littoral-at-least", token), ("littoral-wait-ms", "60000"), ("littoral-on-unmet", "wait")];
    let answer = accounts::read(&mut node.client(), &[3], &headers).unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (412, &json!("token_lost")), "{}", answer.text());
}

#[test]
fn an_edge_keeps_rows_that_its_leader_has_lost_until_an_operator_merges_them() {
    let options = Options { edge_configs: vec![Some(EDGE.to_owned()); 2], ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 1), accounts::row(2, 1)]);
    accounts::catch_up(&cluster);
    let copy = cluster.dir().join("copy");
    copies::take(&mut cluster.leader, &copy);
    // One edge is ahead when the leader is rolled back, the other is not.
    cluster.edges[1].stop();
    let first = write_once(&cluster.leader, accounts::row(3, 1), "order-3");
    let lost = first["token"].as_str().unwrap();
    let rows = [accounts::row(1, 5), accounts::row(2, 5), accounts::row(4, 1)];
    accounts::must_write(&mut cluster.leader.client(), &rows);
    holds(&cluster.edges[0], &[Some(5), Some(5), Some(1), Some(1)]);
    let versions: Vec<_> = [1, 4].map(|id| held(&cluster.edges[0], id).unwrap()).into();

    cluster.leader.kill();
    copies::roll_back(&mut cluster.leader, &copy);
    cluster.edges[1].restart().unwrap();
    for node in cluster.edges.iter().chain([&cluster.leader]) {
        holds(node, &[Some(1), Some(1), None, None]);
    }
    let listed = ok(tails(&cluster.edges[0], &["list"]));
    let name = listed[0]["name"].as_str().unwrap().to_owned();
    assert_eq!(ok(tails(&cluster.edges[1], &["list"])), json!([]), "it was not ahead");
    let page = ok(tails(&cluster.edges[0], &["show", &name]));
    let shown: Vec<_> = page["records"].as_array().unwrap().iter().map(|row| &row["key"]["account_id"]).collect();
    assert_eq!(shown, [3, 1, 2, 4]);

    // The receipt is lost with its write: a retry is a new write, and later writes are newer.
    let again = write_once(&cluster.leader, accounts::row(3, 1), "order-3");
    assert_eq!(again["duplicate"], false);
    let rewritten = held(&cluster.leader, 3).unwrap();
    let token = accounts::must_write(&mut cluster.leader.client(), &[accounts::row(2, 9)]);
    for node in cluster.edges.iter().chain([&cluster.leader]) {
        is_lost(node, lost);
    }

    let file = cluster.edges[0].data_dir().join(&name);
    let kept = fs::read(&file).unwrap();
    let merged = ok(tails(&cluster.edges[0], &["merge", &name]));
    assert_eq!(
        (&merged["rows"], &merged["of_other_regions"], &merged["without_view"]),
        (&json!(4), &json!(0), &json!(0))
    );
    assert!(!file.exists(), "all rows are durable at the leader");
    accounts::catch_up(&cluster);
    for node in cluster.edges.iter().chain([&cluster.leader]) {
        holds(node, &[Some(5), Some(9), Some(1), Some(1)]);
        assert_eq!([1, 4].map(|id| held(node, id).unwrap()), versions[..], "under their old versions");
        assert_eq!(held(node, 3).unwrap(), rewritten, "the later write stays");
        is_lost(node, lost);
        let headers = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "30000")];
        assert_eq!(accounts::read(&mut node.client(), &[2], &headers).unwrap().status, 200);
    }

    // An attempt without an answer is repeated, also after a restart of the leader.
    let (succeeded, refused) = tails(&cluster.edges[0], &["merge", &name]);
    assert!(!succeeded && refused.to_string().contains(&name), "{refused}");
    cluster.leader.kill();
    cluster.leader.restart().unwrap();
    accounts::catch_up(&cluster);
    let before = (equality::held_rows(&cluster.leader), cluster.leader.status()["position"].clone());
    fs::write(&file, kept).unwrap();
    ok(tails(&cluster.edges[0], &["merge", &name]));
    assert_eq!((equality::held_rows(&cluster.leader), cluster.leader.status()["position"].clone()), before);
    for edge in &cluster.edges {
        equality::assert_equal(&cluster.leader, edge);
    }
}
