//! Alerts of what protects nodes: tokens that become invalid, a certificate that expires, a listener without
//! protection, memory for rows that is used up.

use super::Watch;
use littoral_cluster::accounts;
use littoral_provision::{Node, Plan, binary, http::Client, missing::require, prometheus::Target};
use std::{fs, path::Path, process::Command};

/// The alerts that this test fires.
pub(super) const FIRED: &[&str] = &[
    "LittoralAuthRulesInvalid",
    "LittoralCertificateExpires",
    "LittoralInsecure",
    "LittoralKeyRingInvalid",
    "LittoralLeaderMemoryNearlyFull",
];

fn littoral(arguments: &[&str], dir: &Path) {
    let output = Command::new(binary::littoral()).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn issue(hours: &str, dir: &Path) {
    let identity = "littoral://test/local/leader/guarded";
    littoral(&["certs", "issue", "ca", "--identity", identity, "--hours", hours, "--out", "guarded.pem"], dir);
}

/// A leader with tokens and a certificate.
fn guarded(dir: &Path) -> Node {
    littoral(&["token", "new", "reader", "--scope", "read:*", "--file", "tokens.toml"], dir);
    littoral(&["certs", "init", "ca", "--cluster", "test"], dir);
    issue("24", dir);
    let file = |name: &str| dir.join(name).display().to_string();
    let config = format!(
        "[auth]\ntokens = \"{}\"\nreload_ms = 20\n[tls]\ncert = \"{}\"\ntrust = \"{}\"\nreload_ms = 50\n",
        file("tokens.toml"),
        file("guarded.pem"),
        file("ca/trust.pem"),
    );
    let plan = Plan { name: "guarded".to_owned(), ..Plan::leader(&dir.join("guarded")) };
    Node::start(plan.with_config(&config)).unwrap()
}

/// An edge with a key ring.
fn encrypting(dir: &Path, leader: &Node) -> Node {
    littoral(&["key-ring", "add", "first", "--file", "key-ring"], dir);
    let config = format!("[at_rest]\nkey_ring = \"{}\"\nreload_ms = 20\n", dir.join("key-ring").display());
    let plan = Plan::edge("encrypting", &dir.join("encrypting"), leader.ready.peer.unwrap());
    Node::start(plan.with_config(&config)).unwrap()
}

#[test]
fn alerts_of_tokens_certificates_and_listeners_fire_and_resolve() {
    let name = "alerts_of_tokens_certificates_and_listeners_fire_and_resolve";
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let guarded = guarded(dir.path());
    let plan = Plan::leader(&dir.path().join("open")).with_config("[leader]\nrows_bytes_max = 100000\n");
    let mut open = Node::start(plan).unwrap();
    accounts::make_view(&open);
    let edge = encrypting(dir.path(), &open);
    let targets = [
        Target { job: "littoral-leader", region: "east", door: guarded.ready.admin.unwrap(), tls: true },
        Target { job: "littoral-leader", region: "west", door: open.ready.door, tls: false },
        Target { job: "littoral-edge", region: "west", door: edge.ready.door, tls: false },
    ];
    let Some(mut watch) = require(name, Watch::start(dir.path(), &targets)) else { return };

    let mut client = open.client();
    let write =
        |client: &mut Client, id| accounts::write(client, &[accounts::row_with(id, 1, &"n".repeat(1_000))]).unwrap();
    let mut ids = 0..;
    let full = ids.by_ref().map(|id| write(&mut client, id)).find(|answer| answer.status != 200).unwrap();
    assert_eq!((full.status, full.header("littoral-error")), (507, Some("memory_full")));

    let tokens = dir.path().join("tokens.toml");
    let ring = dir.path().join("key-ring");
    let [valid, valid_ring] = [&tokens, &ring].map(|file| fs::read(file).unwrap());
    fs::write(&tokens, "tokens = 7\n").unwrap();
    fs::write(&ring, "a key\n").unwrap();
    issue("1", dir.path());
    let plan = open.plan_mut().clone();
    open.plan_mut().flags = vec!["--insecure".to_owned()];
    open.ready.door.set_ip([0, 0, 0, 0].into());
    open.restart().unwrap();
    watch.fire(
        "tokens and a key ring are invalid, a certificate expires soon, a listener is open, and a leader is full",
        FIRED,
    );

    fs::write(&tokens, valid).unwrap();
    fs::write(&ring, valid_ring).unwrap();
    issue("24", dir.path());
    *open.plan_mut() = plan;
    open.ready.door.set_ip([127, 0, 0, 1].into());
    open.restart().unwrap();
    open.client().send("DELETE", "/v1/views/accounts", &[], b"").unwrap().ok();
    watch.calm("all of it is corrected");
    assert!(FIRED.iter().all(|alert| watch.fired.contains(*alert)));
}
