//! Who may do what at a door: credentials, scopes by view, headers that need trust, and the listener for
//! administration.

use crate::{
    node::MemoryNode,
    stand::{Answer, Door},
};
use littoral_auth::{Authenticator, Config, Trust, tokens};
use littoral_doors::Guard;
use serde_json::{Value, json};
use std::{fs, sync::Arc};

/// A door whose clients have tokens with these grants.
struct Guarded {
    door: Door,
    admin: Door,
    tokens: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Guarded {
    async fn open(grants: &[&[&str]], trust: Trust) -> Self {
        let tokens: Vec<_> = grants.iter().map(|grants| (None, *grants)).collect();
        Self::open_in(MemoryNode::default(), &tokens, trust).await
    }

    /// Opens a door whose clients have tokens with these projects and grants.
    async fn open_in(node: MemoryNode, grants: &[(Option<&str>, &[&str])], trust: Trust) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let (mut text, mut secrets) = (String::new(), Vec::new());
        for (at, (project, grants)) in grants.iter().enumerate() {
            let created = tokens::create().unwrap();
            let hash = created.sha256;
            text += &format!(
                "[[tokens]]\nname = \"t{at}\"\nsha256 = \"{hash}\"\nexpires = \"2100-01-01T00:00:00Z\"\nscopes = {grants:?}\n"
            );
            if let Some(project) = project {
                text += &format!("project = \"{project}\"\n");
            }
            secrets.push(created.secret);
        }
        fs::write(&file, text).unwrap();
        let config = Config { tokens: Some(file), ..Config::default() };
        let authenticator = Some(Arc::new(Authenticator::new(config).unwrap_or_else(|error| panic!("{error}"))));
        let guard = Guard { authenticator, trust, is_open: false };
        let (door, admin) = Door::open_guarded(node, guard).await;
        Self { door, admin, tokens: secrets, _dir: dir }
    }

    /// Sends a request with token `at`.
    async fn send(&self, at: usize, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.tokens[at]);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.door.send(method, path, &[("authorization", &bearer)], body).await
    }
}

fn view() -> Value {
    json!({ "entities": [{ "name": "id", "value_type": "int64" }], "features": [{ "name": "x", "value_type": "int64" }] })
}

fn row() -> Value {
    json!([{ "key": { "id": 1 }, "values": { "x": 1 } }])
}

const ALL: &[&str] = &["read:*", "write:*", "define:*", "module:*", "admin:*"];

#[tokio::test]
async fn a_request_without_a_valid_credential_is_rejected_with_its_code_before_anything_else() {
    let guarded = Guarded::open(&[ALL], Trust::default()).await;
    let send = async |headers: &[(&str, &str)], path: &str| guarded.door.send("POST", path, headers, "{").await;
    let good = format!("bearer  {}", guarded.tokens[0]);
    for (headers, code) in [
        (&[][..], "credential_missing"),
        (&[("authorization", "Basic abc")], "credential_unsupported"),
        (&[("authorization", "Bearer")], "credential_unsupported"),
        (&[("authorization", &good), ("authorization", &good)], "credential_unsupported"),
        (&[("authorization", "Bearer lit_x")], "token_unknown"),
        (&[("authorization", "Bearer abc.def.ghi")], "token_malformed"),
    ] {
        let native = send(headers, "/v1/read").await;
        assert_eq!((native.status, native.code().as_str()), (401, code));
        assert!(native.header("www-authenticate").starts_with("Bearer") && native.header("littoral-error") == code);
        let feast = send(headers, "/get-online-features").await;
        assert_eq!((feast.status, &feast.body[..]), (401, &br#"{"detail":"Invalid or expired access token"}"#[..]));
    }
    // Past the check, the body is what is wrong.
    assert_eq!(send(&[("authorization", &good)], "/v1/read").await.code(), "invalid_body");
    for path in ["/health", "/v1/ready", "/v1/fresh"] {
        assert_eq!(guarded.door.get(path).await.status, 200, "{path}");
    }
    for path in ["/v1/status", "/metrics", "/v1/views", "/v1/openapi.json", "/v1/tails"] {
        assert_eq!(guarded.door.get(path).await.status, 401, "{path}");
    }
    // Longer than any request's head.
    let long = format!("Bearer {}", "x".repeat(1 << 20));
    let mut stream = tokio::net::TcpStream::connect(guarded.door.address).await.unwrap();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let _ = stream
        .write_all(format!("GET /v1/views HTTP/1.1\r\nhost: localhost\r\nauthorization: {long}\r\n\r\n").as_bytes())
        .await;
    let mut answer = vec![0; 12];
    if stream.read_exact(&mut answer).await.is_ok() {
        assert_eq!(answer, b"HTTP/1.1 431");
    }
    assert_eq!(guarded.door.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_client_reads_and_writes_the_views_of_its_scopes_only() {
    let grants: &[&[&str]] =
        &[ALL, &["read:default/a*"], &["write:default/a"], &["read:other", "write:other", "define:other"]];
    let guarded = Guarded::open(grants, Trust::default()).await;
    for name in ["a", "b"] {
        assert_eq!(guarded.send(0, "PUT", &format!("/v1/views/{name}"), &view()).await.status, 200);
        let rows = json!({ "rows": row() });
        assert_eq!(guarded.send(0, "POST", &format!("/v1/views/{name}/rows"), &rows).await.status, 200);
    }
    let source = json!({ "views": ["a", "b"] });
    assert_eq!(guarded.send(0, "PUT", "/v1/push-sources/both", &source).await.status, 200);
    let read = |names: &[&str]| {
        let features: Vec<_> = names.iter().map(|name| format!("{name}:x")).collect();
        json!({ "features": features, "entities": { "id": [1] }, "full_feature_names": true })
    };
    let forbidden = |answer: &Answer, scope: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{:?}", answer.body);
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(&format!("the scope '{scope}'")) && detail.contains("grant it"), "{detail}");
    };
    // Reads: one view of two is one too many.
    assert_eq!(guarded.send(1, "POST", "/v1/read", &read(&["a"])).await.status, 200);
    forbidden(&guarded.send(1, "POST", "/v1/read", &read(&["a", "b"])).await, "read");
    forbidden(&guarded.send(2, "POST", "/v1/read", &read(&["a"])).await, "read");
    forbidden(&guarded.send(3, "POST", "/p/default/v1/read", &read(&["a"])).await, "read");
    let feast = guarded.send(1, "POST", "/get-online-features", &read(&["b"])).await;
    let text = String::from_utf8_lossy(&feast.body).into_owned();
    assert!(
        feast.status == 403 && text.contains("FeastPermissionError") && text.contains("Permission error:"),
        "{text}"
    );
    assert_eq!(guarded.send(1, "GET", "/v1/views/a/rows", &Value::Null).await.status, 200);
    forbidden(&guarded.send(1, "GET", "/v1/views/b/rows", &Value::Null).await, "read");
    // Lists show what may be read.
    let names = |answer: Answer| {
        let views = answer.json()["views"].as_array().cloned().unwrap();
        views.iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(guarded.send(1, "GET", "/v1/views", &Value::Null).await), ["a"]);
    assert_eq!(names(guarded.send(0, "GET", "/v1/catalogue", &Value::Null).await), ["a", "b"]);
    // Writes: all or none.
    let both = json!({ "writes": [{ "view": "a", "rows": row() }, { "view": "b", "rows": row() }] });
    forbidden(&guarded.send(2, "POST", "/v1/rows", &both).await, "write");
    let one = json!({ "writes": [{ "view": "a", "rows": row() }] });
    assert_eq!(guarded.send(2, "POST", "/v1/rows", &one).await.status, 200);
    forbidden(&guarded.send(2, "POST", "/v1/views/b/rows", &json!({ "rows": row() })).await, "write");
    let push = json!({ "push_source_name": "both", "df": { "id": [1], "x": [1] } });
    assert_eq!(guarded.send(2, "POST", "/push", &push).await.status, 403);
    assert_eq!(guarded.send(0, "POST", "/push", &push).await.status, 200);
    let write = |name: &str| json!({ "feature_view_name": name, "df": { "id": [1], "x": [1] } });
    assert_eq!(guarded.send(2, "POST", "/write-to-online-store", &write("a")).await.status, 200);
    assert_eq!(guarded.send(2, "POST", "/write-to-online-store", &write("b")).await.status, 403);
    // Definitions.
    forbidden(&guarded.send(1, "PUT", "/v1/views/c", &view()).await, "define");
    forbidden(&guarded.send(3, "DELETE", "/p/default/v1/views/a", &Value::Null).await, "define");
    forbidden(&guarded.send(1, "DELETE", "/v1/modules/m", &Value::Null).await, "module");
}

#[tokio::test]
async fn administration_needs_its_scope_at_the_door_and_none_at_its_own_listener() {
    let guarded = Guarded::open(&[ALL, &["read:*"]], Trust::default()).await;
    assert_eq!(guarded.send(0, "PUT", "/v1/views/a", &view()).await.status, 200);
    for path in ["/metrics", "/v1/tails", "/v1/conflicts"] {
        assert_eq!(guarded.send(1, "GET", path, &Value::Null).await.code(), "forbidden", "{path}");
    }
    assert_eq!(guarded.send(0, "GET", "/metrics", &Value::Null).await.status, 200);
    // A router may see whether the node is usable, and not what it holds.
    let status = guarded.send(1, "GET", "/v1/status", &Value::Null).await.json();
    assert_eq!((&status["ready"], &status["views"]), (&json!(true), &json!([])));
    let status = guarded.send(0, "GET", "/v1/status", &Value::Null).await.json();
    assert_eq!(status["views"].as_array().unwrap().len(), 1);
    for path in ["/metrics", "/v1/status", "/v1/ready", "/health"] {
        assert_eq!(guarded.admin.get(path).await.status, 200, "{path}");
    }
    assert_eq!(guarded.admin.get("/v1/status").await.json()["views"].as_array().unwrap().len(), 1);
    assert_eq!(guarded.admin.get("/v1/views").await.status, 404, "no data at the listener for administration");
    assert_eq!(guarded.admin.post("/v1/adopt", &json!({})).await.status, 401, "a change needs a credential");
}

#[tokio::test]
async fn a_door_without_authentication_beyond_loopback_serves_no_administration() {
    let guard = Guard { authenticator: None, trust: Trust::default(), is_open: false };
    let (door, admin) = Door::open_guarded(MemoryNode::default(), guard).await;
    assert_eq!(door.put("/v1/views/a", &view()).await.status, 200);
    let refused = door.get("/metrics").await;
    assert!(refused.code() == "forbidden" && refused.json()["detail"].to_string().contains("admin_listen"));
    assert_eq!(door.get("/v1/status").await.json()["views"], json!([]));
    assert_eq!(admin.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn a_header_that_influences_placement_is_accepted_from_trusted_clients_only() {
    let rows = json!({ "rows": row() });
    let send = async |guarded: &Guarded, at: usize, header: &str| {
        let bearer = format!("Bearer {}", guarded.tokens[at]);
        let headers = [("authorization", bearer.as_str()), (header, "us")];
        guarded.door.send("POST", "/v1/views/a/rows", &headers, rows.to_string()).await
    };
    let trusting = Trust { identities: vec!["token:t1".to_owned()], ..Trust::default() };
    let guarded = Guarded::open(&[ALL, ALL], trusting).await;
    assert_eq!(guarded.send(0, "PUT", "/v1/views/a", &view()).await.status, 200);
    for header in ["littoral-part", "littoral-tenant"] {
        let refused = send(&guarded, 0, header).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "header_not_trusted"));
        assert!(refused.json()["detail"].to_string().contains(header));
    }
    assert_eq!(send(&guarded, 1, "littoral-part").await.status, 200);
    for header in ["littoral-place", "littoral-region", "x-forwarded-for"] {
        assert_eq!(send(&guarded, 0, header).await.status, 200, "{header} is ignored");
    }
    let address = Trust { addresses: vec!["127.0.0.0/8".parse().unwrap()], ..Trust::default() };
    let guarded = Guarded::open(&[ALL], address).await;
    assert_eq!(guarded.send(0, "PUT", "/v1/views/a", &view()).await.status, 200);
    assert_eq!(send(&guarded, 0, "littoral-part").await.status, 200);
}

/// A door with the project `fraud`, which has the views `a` and `b` with a row each, and a view `a` in `default`.
async fn with_project(grants: &[(Option<&str>, &[&str])]) -> Guarded {
    let all: Vec<_> = [(None, ALL)].into_iter().chain(grants.iter().copied()).collect();
    let guarded = Guarded::open_in(MemoryNode::default(), &all, Trust::default()).await;
    assert_eq!(guarded.send(0, "PUT", "/v1/projects/fraud", &json!({})).await.status, 200);
    for path in ["/v1/views/a", "/p/fraud/v1/views/a", "/p/fraud/v1/views/b"] {
        assert_eq!(guarded.send(0, "PUT", path, &view()).await.status, 200);
        let rows = json!({ "rows": row() });
        assert_eq!(guarded.send(0, "POST", &format!("{path}/rows"), &rows).await.status, 200);
    }
    guarded
}

fn views(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let views = answer.json()["views"].as_array().cloned().unwrap();
    views.iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect()
}

fn rejected(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{:?}", answer.body);
}

#[tokio::test]
async fn a_credential_names_the_project_of_requests_that_name_none() {
    let guarded = with_project(&[
        (Some("fraud"), &["read", "write:fraud"]),
        (None, &["read:fraud/a", "write:fraud/a"]),
        (None, &["read:fraud", "read:default"]),
        (Some("fraud"), &["read", "read:default"]),
    ])
    .await;
    let list = async |at: usize, path: &str| guarded.send(at, "GET", path, &Value::Null).await;
    assert_eq!(views(&list(0, "/v1/views").await), ["a"], "a credential for every project: `default`");
    assert_eq!(views(&list(1, "/v1/views").await), ["a", "b"], "the credential names the project");
    assert_eq!(views(&list(2, "/v1/views").await), ["a"], "its grants name one project, and one view of it");
    assert_eq!(views(&list(3, "/v1/views").await), ["a"], "its grants name two projects: `default`");
    assert_eq!(views(&list(3, "/p/fraud/v1/views").await), ["a", "b"]);
    assert_eq!(views(&list(4, "/v1/views").await), ["a", "b"]);
    assert_eq!(views(&list(4, "/p/default/v1/views").await), ["a"], "a named project precedes the credential's");
    // A write of such a client changes its project and no other.
    let rows = json!({ "rows": [{ "key": { "id": 1 }, "values": { "x": 9 } }] });
    assert_eq!(guarded.send(2, "POST", "/v1/views/a/rows", &rows).await.status, 200);
    let value = async |path: &str| {
        let page = guarded.send(0, "GET", &format!("{path}/v1/views/a/rows"), &Value::Null).await.json();
        page["rows"][0]["values"]["x"].clone()
    };
    assert_eq!((value("/p/fraud").await, value("").await), (json!(9), json!(1)));
}

#[tokio::test]
async fn a_credential_for_another_project_is_rejected_and_learns_nothing() {
    let guarded = with_project(&[
        (Some("fraud"), &["read", "write", "define", "module"]),
        (None, &["read:default", "write:default", "define:default"]),
    ])
    .await;
    let row = json!({ "rows": row() });
    let read = json!({ "features": ["a:x"], "entities": { "id": [1] } });
    for (method, path, body) in [
        ("GET", "/v1/views", &Value::Null),
        ("GET", "/v1/views/a/rows", &Value::Null),
        ("POST", "/v1/read", &read),
        ("POST", "/v1/views/a/rows", &row),
        ("PUT", "/v1/views/c", &view()),
    ] {
        let conflict = guarded.send(1, method, &format!("/p/default{path}"), body).await;
        rejected(&conflict, 403, "project_conflict");
        let detail = conflict.json()["detail"].to_string();
        assert!(detail.contains("project 'default'") && detail.contains("is for project 'fraud'"), "{detail}");
        for project in ["fraud", "nope"] {
            rejected(&guarded.send(2, method, &format!("/p/{project}{path}"), body).await, 403, "forbidden");
        }
        rejected(&guarded.send(1, method, &format!("/p/nope{path}"), body).await, 403, "project_conflict");
        assert_eq!(guarded.door.send(method, &format!("/p/nope{path}"), &[], body.to_string()).await.status, 401);
    }
    let feast = guarded.send(1, "POST", "/p/default/get-online-features", &read).await;
    assert_eq!((feast.status, feast.header("littoral-error")), (403, "project_conflict"));
    // The header counts like the path.
    let bearer = format!("Bearer {}", guarded.tokens[1]);
    let headers = [("authorization", bearer.as_str()), ("littoral-project", "default")];
    rejected(&guarded.door.send("GET", "/v1/views", &headers, "").await, 403, "project_conflict");
}

#[tokio::test]
async fn the_record_of_a_project_is_for_the_operator_and_its_clients_see_it() {
    let guarded =
        with_project(&[(Some("fraud"), &["read", "write", "define", "module", "admin"]), (None, &["read:default"])])
            .await;
    let seen = async |at: usize| {
        let listed = guarded.send(at, "GET", "/v1/projects", &Value::Null).await.json();
        listed["projects"].as_array().unwrap().iter().map(|project| project["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((seen(0).await, seen(1).await, seen(2).await), (vec![json!("fraud")], vec![json!("fraud")], vec![]));
    assert_eq!(guarded.send(1, "GET", "/v1/projects/fraud", &Value::Null).await.status, 200);
    for project in ["fraud", "nope"] {
        let path = format!("/v1/projects/{project}");
        rejected(&guarded.send(2, "GET", &path, &Value::Null).await, 403, "forbidden");
    }
    let quotas = json!({ "quotas": { "rows": 1 } });
    rejected(&guarded.send(1, "PUT", "/v1/projects/fraud", &quotas).await, 403, "forbidden");
    rejected(&guarded.send(1, "DELETE", "/v1/projects/fraud", &Value::Null).await, 403, "forbidden");
    // The listener for administration has the records too.
    let bearer = format!("Bearer {}", guarded.tokens[0]);
    let at_admin = async |method: &str, path: &str, body: &str| {
        guarded.admin.send(method, path, &[("authorization", &bearer)], body.to_owned()).await.status
    };
    assert_eq!(at_admin("PUT", "/v1/projects/other", "{}").await, 200);
    assert_eq!(at_admin("GET", "/v1/projects/other", "").await, 200);
    assert_eq!(at_admin("GET", "/p/fraud/v1/views", "").await, 404, "no data at the listener for administration");
}

#[tokio::test]
async fn a_request_without_a_valid_credential_uses_no_budget_of_its_project() {
    let guarded = with_project(&[(Some("fraud"), &["read"])]).await;
    let quotas = json!({ "quotas": { "requests_per_s": 0 } });
    assert_eq!(guarded.send(0, "PUT", "/v1/projects/fraud", &quotas).await.status, 200);
    rejected(&guarded.send(1, "GET", "/v1/views", &Value::Null).await, 429, "over_quota");
    rejected(&guarded.door.get("/p/fraud/v1/views").await, 401, "credential_missing");
    let other = guarded.door.send("GET", "/p/fraud/v1/views", &[("authorization", "Bearer lit_x")], "").await;
    rejected(&other, 401, "token_unknown");
}

#[tokio::test]
async fn a_read_only_door_answers_reads_and_rejects_every_change_with_one_code() {
    let config = littoral_doors::Config { read_only: true, ..littoral_doors::Config::default() };
    let door = Door::open_with(MemoryNode::default(), config).await;
    for (method, path) in [
        ("POST", "/push"),
        ("POST", "/write-to-online-store"),
        ("POST", "/v1/rows"),
        ("POST", "/v1/views/v/rows"),
        ("PUT", "/v1/views/v"),
        ("DELETE", "/v1/views/v"),
        ("PUT", "/v1/modules/m?release=1"),
        ("DELETE", "/v1/modules/m"),
        ("PUT", "/v1/services/s"),
        ("DELETE", "/v1/services/s"),
        ("PUT", "/v1/push-sources/p"),
        ("DELETE", "/v1/push-sources/p"),
        ("POST", "/v1/conflicts/1/replay"),
        ("POST", "/v1/tails/t/merge"),
        ("DELETE", "/v1/tails/t"),
        ("POST", "/v1/adopt"),
        ("PUT", "/v1/projects/p"),
        ("DELETE", "/v1/projects/p"),
        ("PUT", "/p/default/v1/views/v"),
    ] {
        let rejected = door.send(method, path, &[], "{}").await;
        assert_eq!((rejected.status, rejected.header("littoral-error")), (403, "read_only"), "{method} {path}");
    }
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("GET", "/v1/ready", 200),
        ("GET", "/v1/views", 200),
        ("GET", "/v1/projects", 200),
        ("GET", "/v1/catalogue", 200),
        ("GET", "/v1/openapi.json", 200),
        ("POST", "/v1/read", 422),
        ("POST", "/get-online-features", 422),
    ] {
        let body = if method == "GET" { "" } else { "{}" };
        assert_eq!(door.send(method, path, &[], body).await.status, status, "{method} {path}");
    }
}
