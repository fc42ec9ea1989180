//! Keys, and passwords in URLs, are in nothing that a node or a command prints; a crash leaves no memory on disk.
//! (`auth.rs` has the same for tokens.)

use littoral_cluster::accounts::CATCH_UP_MAX;
use littoral_provision::{Node, Plan, binary, cluster::eventually};
use rustix::process::Signal;
use std::{
    ffi::OsString,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Is in every secret that this test invents.
const PLANTED: &str = "planted-secret";

/// Runs the command, and returns everything that it prints.
fn run(arguments: &[&str]) -> String {
    let done = Command::new(binary::littoral()).args(arguments).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

/// Returns the files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns a line of each private key in a directory: base64 without the constant beginning.
fn keys(dir: &Path) -> Vec<String> {
    let texts = files(dir).into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let keys = texts.flat_map(|text| {
        let keys = text.split("PRIVATE KEY-----").skip(1).step_by(2);
        keys.map(|key| key.lines().nth(2).unwrap().to_owned()).collect::<Vec<_>>()
    });
    keys.filter(|line| line.len() > 20).collect()
}

/// Returns the error of a node that does not start. It has a log of its own: the error shows the end of its log, to
/// which a running node would write further lines.
fn start_error(plan: Plan) -> String {
    let plan = Plan { name: "rejected".to_owned(), ..plan };
    Node::start(plan).map(drop).unwrap_err().to_string()
}

#[test]
fn keys_and_passwords_are_in_no_log_error_status_or_metric() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let file = |name: &str| path(name).display().to_string();
    let mut seen = run(&["certs", "init", &file("ca"), "--cluster", "prod"]);
    let mut issue = |role: &str, name: &str| {
        let (identity, cert) = (format!("littoral://prod/local/{role}/{name}"), file(&format!("{name}.pem")));
        seen += &run(&["certs", "issue", &file("ca"), "--identity", &identity, "--out", &cert]);
        seen += &run(&["certs", "show", &cert]);
        format!(
            "[tls]\ncert = \"{cert}\"\ntrust = \"{}\"\nreload_ms = 50\n[logging]\nlevel = \"trace\"\n",
            file("ca/trust.pem")
        )
    };
    let (at_leader, at_edge) = (issue("leader", "leader"), issue("edge", "edge"));
    let keys = keys(dir.path());
    assert!(keys.len() >= 3, "keys of the CA, the leader and the edge: {}", keys.len());
    let leader = Node::start(Plan::leader(&path("leader")).with_config(&at_leader)).unwrap();
    let edge = Plan::edge("edge", &path("edge"), leader.ready.peer.unwrap()).with_config(&at_edge);
    let edge = Node::start(edge).unwrap();
    let mut ask = |node: &Node, target: &str| {
        let url = format!("https://localhost:{}{target}", node.ready.door.port());
        let done = Command::new("curl").args(["--silent", "--cacert", &file("ca/trust.pem"), &url]).output();
        let text = String::from_utf8_lossy(&done.expect("curl is installed").stdout).into_owned();
        seen += &text;
        text
    };
    eventually("the edge follows", CATCH_UP_MAX, || ask(&edge, "/v1/status").contains("\"ready\":true"));
    // A reload that fails: half a key, and then garbage.
    let whole = fs::read_to_string(path("leader.pem")).unwrap();
    for broken in [&whole[..whole.len() - 60], &format!("{whole}-----BEGIN PRIVATE KEY-----\n{PLANTED}\n")] {
        let log = fs::read_to_string(path("leader.log")).unwrap().len();
        fs::write(path("leader.pem"), broken).unwrap();
        eventually("the leader rejects the key", CATCH_UP_MAX, || {
            fs::read_to_string(path("leader.log")).unwrap()[log..].contains("leader.pem")
        });
    }
    for node in [&leader, &edge] {
        for target in ["/v1/status", "/metrics", "/v1/views/unknown", &format!("/v1/views/x?key={PLANTED}")] {
            assert!(!ask(node, target).is_empty(), "{target}");
        }
    }
    seen += &start_error(Plan::leader(&path("broken")).with_config(&at_leader));
    // Passwords in URLs.
    let url = format!("http://user:{PLANTED}@127.0.0.1:1");
    for arguments in [&["status", &url][..], &["read", "--features", "v:f", "--entity", "id=1", "--to", &url]] {
        let error = run(arguments);
        assert!(error.contains("user name"), "{error}");
        seen += &error;
    }
    for settings in [
        format!("[[auth.issuers]]\nissuer = \"https://user:{PLANTED}@issuer.example\"\naudiences = [\"a\"]\n"),
        format!(
            "[[auth.issuers]]\nissuer = \"https://issuer.example\"\njwks_url = \"ftp://user:{PLANTED}@a\"\naudiences = [\"a\"]\n"
        ),
        format!("[lease]\nstore = \"etcd://user:{PLANTED}@127.0.0.1:1\"\n"),
        format!("[lease]\nstore = \"ftp://user:{PLANTED}@127.0.0.1:1/x\"\n"),
    ] {
        let error = start_error(Plan::leader(&path("rejected")).with_config(&settings));
        assert!(error.contains("issuer") || error.contains("lease"), "{error}");
        seen += &error;
    }
    let logs =
        files(dir.path()).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    for log in logs {
        seen += &fs::read_to_string(log).unwrap();
    }
    for secret in keys.iter().map(String::as_str).chain([PLANTED]) {
        let at = seen.find(secret);
        let text = at.map_or("", |at| &seen[seen.floor_char_boundary(at.saturating_sub(300))..at]);
        assert!(at.is_none(), "a secret is visible after …{text}");
    }
    drop((leader, edge));
}

#[test]
fn a_crash_leaves_no_core_dump() {
    let dir = tempfile::tempdir().unwrap();
    let launcher = ["sh", "-c", "ulimit -Sc \"$(ulimit -Hc)\"; exec \"$0\" \"$@\""].map(OsString::from).to_vec();
    let mut node = Node::start(Plan { launcher, ..Plan::leader(&dir.path().join("leader")) }).unwrap();
    assert_eq!(node.client().get("/v1/ready").unwrap().status, 200);
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.process().pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(matches!(core.split_whitespace().nth(4), Some("0" | "1")), "{core}");
    // The first signal only removes the handler that reports overflows of the stack.
    eventually("the node crashes", Duration::from_secs(60), || {
        let _ = node.signal(Signal::SEGV);
        !node.process().is_running()
    });
    let status = node.process().wait(Duration::from_secs(60)).unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::SEGV.as_raw()), false));
}
