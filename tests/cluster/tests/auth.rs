//! Nodes that authenticate their clients: an edge forwards the client's own credential, the leader verifies it again,
//! and no secret is in anything that the nodes print.

use littoral_cluster::accounts::{self, CATCH_UP_MAX, VIEW};
use littoral_provision::{
    Cluster, Issuer, Node, Router, binary,
    cluster::{Options, eventually},
    http::{Answer, Client},
    missing::require,
    oidc::{Algorithm, Behaviour},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Grants that allow everything.
const ALL: [&str; 5] = ["read:*", "write:*", "define:*", "module:*", "admin:*"];

/// Creates a token with the command, as an operator does.
fn token(file: &Path, name: &str, grants: &[&str]) -> String {
    let mut command = Command::new(binary::littoral());
    command.args(["--json", "token", "new", name, "--file"]).arg(file).stdin(Stdio::null());
    for grant in grants {
        command.args(["--scope", grant]);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let created: Value = serde_json::from_slice(&done.stdout).unwrap();
    created["token"].as_str().unwrap().to_owned()
}

fn config(tokens: &Path, more: &str) -> String {
    format!("[auth]\ntokens = \"{}\"\nreload_ms = 20\n{more}\n[logging]\nlevel = \"trace\"\n", tokens.display())
}

/// A leader and an edge with authentication.
fn start(leader: &str, edge: &str) -> Cluster {
    let options = Options {
        leader_config: Some(leader.to_owned()),
        edge_configs: vec![Some(edge.to_owned())],
        ..Options::default()
    };
    Cluster::start_with(&options).unwrap()
}

fn send(client: &mut Client, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.send(method, path, &[("authorization", &bearer)], body.as_bytes()).unwrap()
}

fn view() -> Value {
    json!({
        "entities": [{ "name": "account", "join_key": "account_id", "value_type": "int64" }],
        "features": [{ "name": "balance", "value_type": "int64" }],
    })
}

fn rows() -> Value {
    json!({ "rows": [{ "key": { "account_id": 1 }, "values": { "balance": 7 } }] })
}

fn code(answer: &Answer) -> String {
    answer.header("littoral-error").unwrap_or_default().to_owned()
}

/// Creates the view at the leader, and waits until the edge has it.
fn define(cluster: &Cluster, token: &str) {
    let path = format!("/v1/views/{VIEW}");
    eventually("the leader accepts writes", CATCH_UP_MAX, || cluster.leader.status()["writable"] == json!(true));
    let made = send(&mut cluster.leader.client(), token, "PUT", &path, &view());
    assert_eq!(made.status, 200, "{}", made.text());
    eventually("the edge has the view", CATCH_UP_MAX, || {
        send(&mut cluster.edges[0].client(), token, "GET", &path, &Value::Null).status == 200
    });
}

#[test]
fn an_edge_forwards_the_clients_credential_and_the_leader_verifies_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let (at_leader, at_edge) = (dir.path().join("leader-tokens.toml"), dir.path().join("edge-tokens.toml"));
    let admin = token(&at_leader, "admin", &ALL);
    let reader = token(&at_leader, "reader", &["read:default"]);
    let writer = token(&at_leader, "writer", &["write:default/accounts"]);
    let fraud = token(&at_leader, "fraud", &["write:fraud"]);
    // The edge believes that the token is for every project.
    fs::write(&at_edge, fs::read_to_string(&at_leader).unwrap().replace("write:fraud", "write:*")).unwrap();
    // A stolen edge may believe what it likes: this token is known there only.
    let invented = token(&at_edge, "invented", &ALL);
    let cluster = start(&config(&at_leader, ""), &config(&at_edge, ""));
    define(&cluster, &admin);
    let (mut edge, path) = (cluster.edges[0].client(), format!("/v1/views/{VIEW}/rows"));
    let written = send(&mut edge, &writer, "POST", &path, &rows());
    assert_eq!(written.status, 200, "{}", written.text());
    let forbidden = send(&mut edge, &reader, "POST", &path, &rows());
    assert_eq!((forbidden.status, code(&forbidden).as_str()), (403, "forbidden"));
    for (method, path, body) in [
        ("POST", path.clone(), rows()),
        ("PUT", "/v1/views/other".to_owned(), view()),
        ("DELETE", format!("/v1/views/{VIEW}"), Value::Null),
    ] {
        let refused = send(&mut edge, &invented, method, &path, &body);
        assert_eq!((refused.status, code(&refused).as_str()), (401, "credential_rejected"), "{}", refused.text());
        assert!(refused.text().contains("token_unknown"), "the leader's reason: {}", refused.text());
    }
    // A project's token writes into its project, whatever an edge believes about it.
    assert_eq!(send(&mut cluster.leader.client(), &admin, "PUT", "/v1/projects/fraud", &json!({})).status, 200);
    let in_fraud = format!("/p/fraud{path}");
    let made = send(&mut cluster.leader.client(), &admin, "PUT", in_fraud.trim_end_matches("/rows"), &view());
    assert_eq!(made.status, 200, "{}", made.text());
    eventually("the edge has the project's view", CATCH_UP_MAX, || {
        send(&mut edge, &fraud, "POST", &in_fraud, &rows()).status == 200
    });
    let foreign = send(&mut edge, &fraud, "POST", &path, &rows());
    assert_eq!((foreign.status, code(&foreign).as_str()), (403, "forbidden"), "{}", foreign.text());
    assert!(foreign.text().contains("'accounts' of project 'default'"), "the leader's reason: {}", foreign.text());
    let at_leader_door = send(&mut cluster.leader.client(), &fraud, "POST", &path, &rows());
    assert_eq!(at_leader_door.status, 200, "the leader knows the only project of the token");
    // A token that the leader no longer has is of no use at an edge that still has it.
    let kept = fs::read_to_string(&at_leader).unwrap();
    let without: String = kept.split_inclusive("[[tokens]]\n").filter(|entry| !entry.contains("\"writer\"")).collect();
    fs::write(&at_leader, without.trim_end_matches("[[tokens]]\n")).unwrap();
    eventually("the leader reloads its tokens", CATCH_UP_MAX, || {
        code(&send(&mut edge, &writer, "POST", &path, &rows())) == "credential_rejected"
    });
    assert_eq!(send(&mut edge, &admin, "POST", &path, &rows()).status, 200);
}

#[test]
fn a_leader_rejects_writes_that_an_edge_without_authentication_forwards() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.toml");
    let admin = token(&tokens, "admin", &ALL);
    let cluster = start(&config(&tokens, ""), "");
    define(&cluster, &admin);
    let mut edge = cluster.edges[0].client();
    let refused =
        accounts::write(&mut edge, &[json!({ "key": { "account_id": 1 }, "values": { "balance": 1 } })]).unwrap();
    assert_eq!((refused.status, code(&refused).as_str()), (401, "credential_rejected"), "{}", refused.text());
    assert!(refused.text().contains("configure [auth] at the edge"), "{}", refused.text());
    assert_eq!(accounts::read(&mut edge, &[1], &[]).unwrap().status, 200, "the edge itself is open");
}

#[test]
fn no_secret_is_in_logs_errors_status_metrics_or_help() {
    let name = "no_secret_is_in_logs_errors_status_metrics_or_help";
    let Some(issuer) = require(name, Issuer::start()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.toml");
    let admin = token(&tokens, "admin", &ALL);
    let probe = dir.path().join("probe-token");
    fs::write(&probe, format!("{}\n", token(&tokens, "router", &[]))).unwrap();
    let issuers = format!(
        "[[auth.issuers]]\nissuer = \"{}\"\naudiences = [\"features\"]\nscopes_claim = \"scope\"\ntoken_file = \"{}\"\n",
        issuer.url(),
        probe.display()
    );
    let cluster = start(&config(&tokens, &issuers), &config(&tokens, &issuers));
    define(&cluster, &admin);
    let jwt = issuer.token(Algorithm::Rs256, &json!({ "aud": "features", "scope": "read:default write:default" }));
    let forged = issuer.token(Algorithm::ForeignRs256, &json!({ "aud": "features" }));
    let topology = format!(
        "role = \"topology\"\nname = \"t\"\npattern = \"active_active\"\n[[regions]]\nname = \"local\"\nlatitude = 0.0\n\
         longitude = 0.0\nleader = \"{}\"\nedges = [{{ name = \"edge-1\", door = \"{}\" }}]\n",
        cluster.leader.ready.door, cluster.edges[0].ready.door
    );
    let settings = format!("[router]\nprobe_token_file = \"{}\"\n[logging]\nlevel = \"trace\"\n", probe.display());
    let router_dir = tempfile::tempdir().unwrap();
    let router = Router::start(router_dir.path(), &topology, &settings, None).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = String::new();
    let path = format!("/v1/views/{VIEW}/rows");
    let read = json!({ "features": ["accounts:balance"], "entities": { "account_id": [1] } });
    eventually("the router sends requests on with their credentials", CATCH_UP_MAX, || {
        send(&mut router.client(), &jwt, "POST", &path, &rows()).status == 200
            && send(&mut router.client(), &jwt, "POST", "/v1/read", &read).status == 200
    });
    issuer.behave(Behaviour::Broken);
    for token in [&admin, &jwt, &forged, &"lit_planted-unknown-token".to_owned()] {
        for client in [&mut router.client(), &mut cluster.edges[0].client(), &mut cluster.leader.client()] {
            for (method, path, body) in [
                ("POST", path.as_str(), rows()),
                ("POST", "/v1/read", read.clone()),
                ("POST", "/push", json!({ "push_source_name": "x", "df": {} })),
                ("GET", "/v1/views/unknown", Value::Null),
                ("GET", "/v1/status", Value::Null),
                ("GET", "/metrics", Value::Null),
            ] {
                let answer = send(client, token, method, path, &body);
                seen += &answer.text();
                seen += &code(&answer);
            }
        }
    }
    for node in [&cluster.leader, &cluster.edges[0]] {
        for path in ["/v1/status", "/metrics"] {
            seen += &node.admin().get(path).unwrap().text();
        }
    }
    for arguments in
        [&["--help"][..], &["status", "--help"], &["token", "new", "--help"], &["status", "http://127.0.0.1:1"]]
    {
        let done = Command::new(binary::littoral()).args(arguments).env("LITTORAL_TOKEN", &admin).output().unwrap();
        seen += &String::from_utf8_lossy(&[done.stdout, done.stderr].concat());
    }
    for directory in [cluster.dir(), router_dir.path()] {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let log = fs::read_to_string(entry.path()).unwrap();
                assert!(!log.is_empty(), "{} is empty", entry.path().display());
                seen += &log;
            }
        }
    }
    assert!(seen.contains("token_signature") && seen.contains("token_unknown"), "the rejections are visible");
    let probe = fs::read_to_string(&probe).unwrap();
    for secret in [&admin, &jwt, &forged, probe.trim(), "planted-unknown-token"] {
        // A part of it suffices: the last 20 characters are of the secret or of the signature.
        let part = &secret[secret.len() - 20..];
        let at = seen.find(part);
        assert!(at.is_none(), "a secret is visible: …{}…", at.map_or("", |at| &seen[at.saturating_sub(300)..at]));
    }
}

/// A freshness token is only ever compared with positions. It selects no rows, and it can delay only the reader that
/// sends it, for at most the shorter of that reader's own bound and the door's.
#[test]
fn a_forged_freshness_token_reads_nothing_more_and_waits_no_longer_than_its_reader_allows() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens.toml");
    let admin = token(&tokens, "admin", &ALL);
    let reader = token(&tokens, "reader", &["read:default/other"]);
    let doors = "[door]\nwaiting_requests_max = 1\nwait_max_ms = 400\n";
    let cluster = start(&config(&tokens, ""), &config(&tokens, doors));
    define(&cluster, &admin);
    let written = send(&mut cluster.leader.client(), &admin, "POST", &format!("/v1/views/{VIEW}/rows"), &rows());
    let real = written.json()["token"].as_str().unwrap().to_owned();
    let (log, _) = real.rsplit_once(':').unwrap();
    let read = |token: &str, at_least: &str, wait_ms: &str| {
        let (body, bearer) = (
            json!({ "features": ["accounts:balance"], "entities": { "account_id": [1] } }).to_string(),
            format!("Bearer {token}"),
        );
        let headers =
            [("authorization", bearer.as_str()), ("littoral-at-least", at_least), ("littoral-wait-ms", wait_ms)];
        cluster.edges[0].client().send("POST", "/v1/read", &headers, body.as_bytes()).unwrap()
    };
    let forged = [
        format!("{log}:{}", u64::MAX),
        "mars@ffffffffffffffff:1".to_owned(),
        format!("{log}:99999999,mars@0000000000000001:18446744073709551615"),
    ];
    for forged in &forged {
        // A year, if the reader could have its way.
        for wait in ["0", "31536000000"] {
            let begun = Instant::now();
            let answer = read(&admin, forged, wait);
            assert_eq!(answer.status, 412, "{forged}: {}", answer.text());
            assert!(begun.elapsed() < Duration::from_secs(30), "{forged}: the wait has a bound");
            // The only waiting slot is free again.
            assert_ne!(code(&answer), "too_many_waiting");
        }
        // It opens nothing: without the scope the answer is the same as without the token.
        assert_eq!(read(&reader, forged, "0").status, 412);
    }
    assert_eq!(code(&read(&reader, &real, "400")), "forbidden");
    let long = vec![real.as_str(); 400].join(",");
    for absurd in ["x", "@:", "local@zz:1", "local@1:-1", "local@1:99999999999999999999999", &long] {
        let answer = read(&admin, absurd, "0");
        assert_eq!((answer.status, code(&answer).as_str()), (400, "invalid_demand"), "{absurd}");
    }
    assert_eq!(read(&admin, &real, "400").status, 200);
}

#[test]
fn a_policy_with_an_unknown_scope_stops_a_start_and_not_a_running_node() {
    let dir = tempfile::tempdir().unwrap();
    let (tokens, policy) = (dir.path().join("tokens.toml"), dir.path().join("policy.toml"));
    let reader = token(&tokens, "reader", &[]);
    let admin = token(&tokens, "admin", &ALL);
    let grant = |scope: &str| format!("# ours\n[[grants]]\nto = [\"token:reader\"]\nscopes = [\"{scope}\"]\n");
    fs::write(&policy, grant("raed")).unwrap();
    let settings = config(&tokens, &format!("policy = \"{}\"", policy.display()));
    let leader = Some(settings.clone());
    let failed =
        Cluster::start_with(&Options { leader_config: leader.clone(), ..Options::default() }).unwrap_err().to_string();
    assert!(failed.contains("policy.toml:4: there is no scope 'raed'; use read, write, define"), "{failed}");
    fs::write(&policy, grant("read")).unwrap();
    let cluster = start(&settings, &settings);
    define(&cluster, &admin);
    let may_read = |node: &Node| {
        let read = json!({ "features": ["accounts:balance"], "entities": { "account_id": [1] } });
        send(&mut node.client(), &reader, "POST", "/v1/read", &read).status == 200
    };
    assert!(may_read(&cluster.leader) && may_read(&cluster.edges[0]));
    fs::write(&policy, grant("raed")).unwrap();
    let log = || fs::read_to_string(cluster.dir().join("edge-1.log")).unwrap();
    eventually("the bad policy is reported", CATCH_UP_MAX, || log().contains("there is no scope 'raed'"));
    assert!(may_read(&cluster.leader) && may_read(&cluster.edges[0]), "the last valid policy stays in force");
    fs::write(&policy, grant("write")).unwrap();
    eventually("the next policy is in force", CATCH_UP_MAX, || !may_read(&cluster.edges[0]));
}
