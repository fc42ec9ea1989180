//! The recorded exchanges with Feast's feature server under `auth: {type: oidc}`, replayed against an edge with a real
//! issuer; and Feast's own client with `auth: {type: oidc}` and `{type: kubernetes}`.

use littoral_conformance::{fixture, golden::fixtures};
use littoral_provision::{
    Cluster, Issuer,
    feast::Environment,
    http::Answer,
    missing::require,
    oidc::{Algorithm, CLIENT_SECRET, now_s},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

/// The policy that corresponds to the permission of the recorded server: the role `reader` reads, and no role writes.
const POLICY: &str = "[[grants]]\nto = [\"role:reader\"]\nscopes = [\"read\"]\n\
                      [[grants]]\nto = [\"role:writer\", \"subject:system:serviceaccount:feast:*\"]\nscopes = [\"read\", \"write\"]\n";

#[derive(Deserialize)]
struct Golden {
    name: String,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    body_text: String,
}

/// Starts nodes that hold what the recorded server held, with authentication by this issuer. An operator has a static
/// token.
fn start(issuer: &Issuer, dir: &Path) -> Cluster {
    let (tokens, policy) = (dir.join("tokens.toml"), dir.join("policy.toml"));
    fs::write(&policy, POLICY).unwrap();
    let all = ["read:*", "write:*", "define:*", "module:*", "admin:*"].map(|grant| format!("--scope={grant}"));
    let mut arguments = vec!["--json", "token", "new", "operator", "--file", tokens.to_str().unwrap()];
    arguments.extend(all.iter().map(String::as_str));
    let created: Value = serde_json::from_str(&fixture::littoral(&arguments)).unwrap();
    let config = format!(
        "[auth]\ntokens = \"{}\"\npolicy = \"{}\"\n[[auth.issuers]]\nissuer = \"{}\"\naudiences = [\"features\"]\n\
         subject_claim = \"sub\"\nroles_claims = [\"resource_access.feast-client.roles\"]\n",
        tokens.display(),
        policy.display(),
        issuer.url()
    );
    fixture::start_with(Some(&config), created["token"].as_str())
}

/// Returns the header of a recorded request. Where the recording has a description of a token, a token with these
/// claims.
fn authorization(recorded: &str, issuer: &Issuer) -> String {
    let Some((scheme, described)) = recorded.split_once(" <RS256 JWT; claims: ") else { return recorded.to_owned() };
    let claims = described.strip_suffix('>').unwrap_or(described);
    let mut claims: Value = serde_json::from_str(claims).unwrap();
    // The recorded server checked neither, and the recorded expiry has passed.
    claims["iss"] = issuer.url().into();
    claims["aud"] = "features".into();
    let has_expired = claims["exp"].as_u64() == Some(1_795_413_356);
    claims["exp"] = if has_expired { now_s() - 3_600 } else { now_s() + 600 }.into();
    format!("{scheme} {}", issuer.token(Algorithm::Rs256, &claims))
}

#[test]
fn the_recorded_exchanges_with_authentication_are_answered_as_feast_did() {
    let name = "the_recorded_exchanges_with_authentication_are_answered_as_feast_did";
    let Some(issuer) = require(name, Issuer::start()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(&issuer, dir.path());
    let mut files: Vec<_> = fs::read_dir(fixtures().join("auth")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 9);
    for file in files {
        let golden: Golden = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let headers: Vec<_> =
            golden.request.headers.iter().map(|(name, value)| (name.as_str(), authorization(value, &issuer))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = if golden.request.body.is_null() { String::new() } else { golden.request.body.to_string() };
        let mut edge = cluster.edges[0].client();
        let answer = edge.send(&golden.request.method, &golden.request.path, &headers, body.as_bytes()).unwrap();
        compare(&golden, &answer);
    }
}

fn compare(golden: &Golden, answer: &Answer) {
    let (recorded, name) = (&golden.response, &golden.name);
    assert_eq!(answer.status, recorded.status, "{name}: {}", answer.text());
    match recorded.status {
        // The class that the SDK raises, and the beginning of its message, are Feast's. The rest names Littoral's
        // scopes.
        403 => {
            let error = |text: &str| {
                let inner: String = serde_json::from_str(text).unwrap();
                serde_json::from_str::<Value>(&inner).unwrap()
            };
            let (ours, theirs) = (error(&answer.text()), error(&recorded.body_text));
            assert_eq!((&ours["module"], &ours["class"]), (&theirs["module"], &theirs["class"]), "{name}");
            for message in [&ours["message"], &theirs["message"]] {
                assert!(message.as_str().unwrap().starts_with("Permission error:\n"), "{name}: {message}");
            }
        }
        _ if recorded.body_text.is_empty() => assert_eq!(answer.text(), "", "{name}"),
        _ => {
            let theirs: Value = serde_json::from_str(&recorded.body_text).unwrap();
            let ours = answer.json();
            for (key, value) in theirs.as_object().unwrap() {
                if key != "results" {
                    assert_eq!(&ours[key], value, "{name}");
                    continue;
                }
                // As in the other recorded exchanges: a key has no event time here.
                for (ours, theirs) in ours[key].as_array().unwrap().iter().zip(value.as_array().unwrap()) {
                    assert_eq!(
                        (&ours["values"], &ours["statuses"]),
                        (&theirs["values"], &theirs["statuses"]),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn feasts_client_reads_and_writes_with_oidc_and_with_a_service_account() {
    let name = "feasts_client_reads_and_writes_with_oidc_and_with_a_service_account";
    let Some(issuer) = require(name, Issuer::start()) else { return };
    let Some(environment) = require(name, Environment::install()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(&issuer, dir.path());
    let roles = |role: &str| json!({ "resource_access": { "feast-client": { "roles": [role] } } });
    let account =
        issuer.token(Algorithm::Rs256, &json!({ "aud": ["features"], "sub": "system:serviceaccount:feast:client" }));
    let oidc = format!(
        "auth:\n  type: oidc\n  auth_discovery_url: {}/.well-known/openid-configuration\n  client_id: feast-client\n  \
         client_secret: {CLIENT_SECRET}\n  username: u1\n  password: p1\n",
        issuer.url()
    );
    for (auth, role, may_write) in
        [(oidc.as_str(), "reader", false), (&oidc, "writer", true), ("auth:\n  type: kubernetes\n", "", true)]
    {
        let mut claims = roles(role);
        claims["aud"] = "features".into();
        issuer.issue(claims);
        let repo = tempfile::tempdir().unwrap();
        fs::copy(fixtures().join("client_repo/features.py"), repo.path().join("features.py")).unwrap();
        let store = fs::read_to_string(fixtures().join("client_repo/feature_store.yaml")).unwrap();
        let store = store.replace("http://127.0.0.1:6566", &cluster.edges[0].url());
        fs::write(repo.path().join("feature_store.yaml"), format!("{store}{auth}")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/auth.py");
        let done = environment
            .command(&environment.python())
            .arg(script)
            .arg(repo.path())
            .arg(if may_write { "writes" } else { "reads" })
            .env("FEAST_ANCHOR_DATA", fixtures().join("data"))
            .env("LOCAL_K8S_TOKEN", &account)
            .output()
            .unwrap();
        let output = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{auth} {role}: {}", String::from_utf8_lossy(&output));
    }
}
