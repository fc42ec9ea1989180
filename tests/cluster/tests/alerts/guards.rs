//! Alerts of what protects nodes: tokens that become invalid, a certificate that expires, a listener without protection.

use super::Watch;
use littoral_provision::{Node, Plan, binary, missing::require, prometheus::Target};
use std::{fs, path::Path, process::Command};

/// The alerts that this test fires.
pub(super) const FIRED: &[&str] = &["LittoralAuthRulesInvalid", "LittoralCertificateExpires", "LittoralInsecure"];

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

#[test]
fn alerts_of_tokens_certificates_and_listeners_fire_and_resolve() {
    let name = "alerts_of_tokens_certificates_and_listeners_fire_and_resolve";
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let guarded = guarded(dir.path());
    let mut open = Node::start(Plan::leader(&dir.path().join("open"))).unwrap();
    let targets = [
        Target { job: "littoral-leader", region: "east", door: guarded.ready.admin.unwrap(), tls: true },
        Target { job: "littoral-leader", region: "west", door: open.ready.door, tls: false },
    ];
    let Some(mut watch) = require(name, Watch::start(dir.path(), &targets)) else { return };

    let tokens = dir.path().join("tokens.toml");
    let valid = fs::read(&tokens).unwrap();
    fs::write(&tokens, "tokens = 7\n").unwrap();
    issue("1", dir.path());
    let plan = open.plan_mut().clone();
    open.plan_mut().flags = vec!["--insecure".to_owned()];
    open.ready.door.set_ip([0, 0, 0, 0].into());
    open.restart().unwrap();
    watch.fire("the tokens are invalid, the certificate expires soon, and a listener is open", FIRED);

    fs::write(&tokens, valid).unwrap();
    issue("24", dir.path());
    *open.plan_mut() = plan;
    open.ready.door.set_ip([127, 0, 0, 1].into());
    open.restart().unwrap();
    watch.calm("all of it is corrected");
    assert!(FIRED.iter().all(|alert| watch.fired.contains(*alert)));
}
