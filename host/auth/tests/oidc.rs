//! Tokens of a real issuer: what is accepted, what is rejected and with which code, rotation, and issuers that
//! misbehave.

use littoral_auth::{Access, Authenticator, Config, IssuerConfig, Rejected, Scope, issuer::Issuer as Fetched};
use littoral_model::project::ProjectName;
use littoral_provision::{
    Issuer,
    missing::require,
    oidc::{Algorithm, Behaviour, now_s},
    oidc_provider::Provider,
};
use serde_json::{Value, json};
use std::{fs, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long something that happens by itself may take.
const SOON: Duration = Duration::from_secs(30);

fn issuer(issuer: &Issuer, more: &str) -> IssuerConfig {
    let text = format!(
        "issuer = \"{}\"\naudiences = [\"features\"]\nroles_claims = [\"resource_access.feast-client.roles\", \"groups\"]\n{more}",
        issuer.url()
    );
    toml::from_str(&text).unwrap()
}

fn config(of: &Issuer) -> Config {
    Config { issuers: vec![issuer(of, "")], reload_ms: 20, ..Config::default() }
}

/// Starts an authenticator. It runs until the test ends.
fn start(config: Config) -> Arc<Authenticator> {
    let authenticator = Arc::new(Authenticator::new(config).unwrap_or_else(|error| panic!("{error}")));
    let running = authenticator.clone();
    tokio::spawn(async move { running.run().await });
    authenticator
}

fn claims(more: Value) -> Value {
    let mut claims = json!({ "aud": "features", "sub": "u1" });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

async fn verify(authenticator: &Authenticator, token: &str) -> Result<Arc<Access>, Rejected> {
    authenticator.verify(token, now_s()).await
}

/// Waits until a token is accepted.
async fn accepted(authenticator: &Authenticator, token: &str) -> Arc<Access> {
    let deadline = Instant::now() + SOON;
    loop {
        match verify(authenticator, token).await {
            Ok(access) => return access,
            Err(error) => assert!(Instant::now() < deadline, "not accepted: {error}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_wrong_token_has_its_own_code() {
    let Some(real) = require("every_kind_of_wrong_token_has_its_own_code", Issuer::start()) else { return };
    let authenticator = start(config(&real));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let access = verify(&authenticator, &real.token(algorithm, &claims(json!({})))).await.unwrap();
        assert_eq!(&*access.who, "subject:u1");
    }
    let (now, good) = (now_s(), claims(json!({})));
    let rs256 = |more: Value| real.token(Algorithm::Rs256, &claims(more));
    let other_key = {
        let token = rs256(json!({}));
        let (_, rest) = token.split_once('.').unwrap();
        // The header {"alg":"RS256","kid":"x"}.
        format!("eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.{rest}")
    };
    let critical = {
        let token = rs256(json!({}));
        let (_, rest) = token.split_once('.').unwrap();
        // The header {"alg":"RS256","crit":["x"]}.
        format!("eyJhbGciOiJSUzI1NiIsImNyaXQiOlsieCJdfQ.{rest}")
    };
    for (token, code) in [
        (real.token(Algorithm::None, &good), "token_algorithm"),
        (real.token(Algorithm::Hs256, &good), "token_algorithm"),
        (real.token(Algorithm::ForeignRs256, &good), "token_signature"),
        (other_key, "token_key_unknown"),
        (critical, "token_malformed"),
        (rs256(json!({ "aud": "others" })), "token_audience"),
        (rs256(json!({ "aud": null })), "token_claim_missing"),
        (rs256(json!({ "iss": "https://other.example.org" })), "token_issuer"),
        (rs256(json!({ "exp": now - 61 })), "token_expired"),
        (rs256(json!({ "exp": null })), "token_claim_missing"),
        (rs256(json!({ "exp": "tomorrow" })), "token_claim_missing"),
        (rs256(json!({ "nbf": now + 100 })), "token_not_yet_valid"),
        (rs256(json!({ "iat": now + 100 })), "token_not_yet_valid"),
        (rs256(json!({ "sub": "" })), "token_claim_missing"),
        ("abc.def.ghi".to_owned(), "token_malformed"),
        ("lit_unknown".to_owned(), "token_unknown"),
        (String::new(), "token_unknown"),
        ("x".repeat(1 << 20), "token_too_long"),
    ] {
        let rejected = verify(&authenticator, &token).await.unwrap_err();
        assert_eq!(rejected.code(), code, "{rejected}");
        assert!(token.len() < 20 || !rejected.to_string().contains(&token), "an error does not contain its token");
        assert_eq!(rejected.status().as_u16(), 401);
    }
    // The tolerated difference of clocks, on both sides.
    verify(&authenticator, &rs256(json!({ "exp": now - 30 }))).await.unwrap();
    verify(&authenticator, &rs256(json!({ "nbf": now + 30 }))).await.unwrap();
    verify(&authenticator, &rs256(json!({ "aud": ["others", "features"] }))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_accepted_after_the_keys_rotate_and_an_old_one_is_not() {
    let name = "a_token_is_accepted_after_the_keys_rotate_and_an_old_one_is_not";
    let Some(real) = require(name, Issuer::start()) else { return };
    let authenticator = start(config(&real));
    let before = real.token(Algorithm::Rs256, &claims(json!({})));
    accepted(&authenticator, &before).await;
    real.rotate().unwrap();
    accepted(&authenticator, &real.token(Algorithm::Rs256, &claims(json!({ "sub": "u2" })))).await;
    // The decision about the old token was kept: it was made with a valid key. Another token of the old key is
    // rejected.
    verify(&authenticator, &before).await.unwrap();
    let fetched = real.requests();
    for at in 0..50 {
        let token = real.token(Algorithm::Rs256, &claims(json!({ "sub": at.to_string() })));
        let (header, rest) = token.split_once('.').unwrap();
        assert!(!header.is_empty());
        // The header {"alg":"RS256","kid":"x"}.
        let invented = format!("eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.{rest}");
        assert_eq!(verify(&authenticator, &invented).await.unwrap_err(), Rejected::Key);
    }
    assert!(real.requests() <= fetched + 2, "invented key ids do not load the issuer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_keys_stay_in_use_while_the_issuer_is_gone() {
    let Some(real) = require("the_last_keys_stay_in_use_while_the_issuer_is_gone", Issuer::start()) else { return };
    real.behave(Behaviour::Broken);
    let authenticator = start(config(&real));
    let token = real.token(Algorithm::Rs256, &claims(json!({})));
    let rejected = verify(&authenticator, &token).await.unwrap_err();
    assert_eq!((rejected.code(), rejected.status().as_u16()), ("issuer_unavailable", 503));
    real.behave(Behaviour::Well);
    accepted(&authenticator, &token).await;
    real.behave(Behaviour::Broken);
    for at in 0..20 {
        let token = real.token(Algorithm::Es256, &claims(json!({ "sub": format!("s{at}") })));
        verify(&authenticator, &token).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_misbehaves_is_reported_with_address_and_remedy() {
    let name = "an_issuer_that_misbehaves_is_reported_with_address_and_remedy";
    let Some(real) = require(name, Issuer::start()) else { return };
    let fetched = Fetched::new(issuer(&real, "")).unwrap();
    fetched.fetch().await.unwrap();
    for (behaviour, expected) in [
        (Behaviour::Html, "answered with HTML instead of JSON; check"),
        (Behaviour::Huge, "longer than 1048576 bytes"),
        (Behaviour::Broken, "status 500"),
        (Behaviour::Silent, "did not answer within 5 s"),
    ] {
        real.behave(behaviour);
        let error = timeout(SOON, fetched.fetch()).await.expect("bounded").unwrap_err();
        assert!(error.starts_with(&format!("{}/jwks: ", real.url())) && error.contains(expected), "{error}");
    }
    let gone = "issuer = \"http://127.0.0.1:1\"\naudiences = [\"a\"]";
    let error = Fetched::new(toml::from_str(gone).unwrap()).unwrap().fetch().await.unwrap_err();
    assert!(error.contains("127.0.0.1:1/.well-known/openid-configuration: "), "{error}");
    let other = format!("issuer = \"{}/\"\naudiences = [\"a\"]", real.url());
    let error = Fetched::new(toml::from_str(&other).unwrap()).unwrap().fetch().await.unwrap_err();
    assert!(error.contains("the document of issuer"), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "garbage").unwrap();
    let error = Fetched::new(issuer(&real, &format!("ca_file = \"{}\"", file.path().display()))).err().unwrap();
    assert!(error.contains("no certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_service_accounts_get_scopes_from_a_policy_that_is_reloaded() {
    let name = "roles_and_service_accounts_get_scopes_from_a_policy_that_is_reloaded";
    let Some(real) = require(name, Issuer::start()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.toml");
    let grant = |to: &str, scope: &str| format!("[[grants]]\nto = [\"{to}\"]\nscopes = [\"{scope}\"]\n");
    fs::write(&policy, grant("role:reader", "read") + &grant("subject:system:serviceaccount:feast:*", "write"))
        .unwrap();
    let mut config = Config { policy: Some(policy.clone()), ..config(&real) };
    config.issuers[0].scopes_claim = Some("scope".to_owned());
    config.issuers[0].project_claim = Some("project".to_owned());
    let authenticator = start(config);
    let reader = real
        .token(Algorithm::Rs256, &claims(json!({ "resource_access": { "feast-client": { "roles": ["reader"] } } })));
    let access = verify(&authenticator, &reader).await.unwrap();
    assert!(access.may(Scope::Read, "default", "v") && !access.may(Scope::Write, "default", "v"));
    let account = real.token(
        Algorithm::Rs256,
        &claims(json!({
            "sub": "system:serviceaccount:feast:client",
            "kubernetes.io": { "namespace": "feast", "serviceaccount": { "name": "client" } },
        })),
    );
    assert!(verify(&authenticator, &account).await.unwrap().may(Scope::Write, "default", "v"));
    let scoped = claims(json!({ "scope": "openid read:fraud/driver_* define", "project": "fraud" }));
    let access = verify(&authenticator, &real.token(Algorithm::Rs256, &scoped)).await.unwrap();
    assert!(access.may(Scope::Read, "fraud", "driver_x") && !access.may(Scope::Read, "fraud", "x"));
    assert!(access.may(Scope::Define, "fraud", "x") && !access.may(Scope::Define, "default", "x"));
    assert_eq!(access.project.as_ref().map(ProjectName::as_str), Some("fraud"));
    for invalid in [json!("a/b"), json!(""), json!("..\u{e9}"), json!("x".repeat(300)), json!(["fraud"])] {
        let token = real.token(Algorithm::Rs256, &claims(json!({ "scope": "read", "project": invalid })));
        assert_eq!(verify(&authenticator, &token).await.err(), Some(Rejected::Project), "{invalid}");
    }
    assert_eq!(Rejected::Project.code(), "token_project");

    // A bad policy changes nothing; a good one takes effect although decisions were kept.
    fs::write(&policy, grant("role:reader", "raed")).unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(verify(&authenticator, &reader).await.unwrap().may(Scope::Read, "default", "v"));
    fs::write(&policy, grant("role:reader", "write")).unwrap();
    let deadline = Instant::now() + SOON;
    while !verify(&authenticator, &reader).await.unwrap().may(Scope::Write, "default", "v") {
        assert!(Instant::now() < deadline, "the policy takes effect");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!verify(&authenticator, &reader).await.unwrap().may(Scope::Read, "default", "v"));
}

#[tokio::test]
async fn a_decision_ends_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.toml");
    let created = littoral_auth::tokens::create().unwrap();
    let text = format!(
        "[[tokens]]\nname = \"a\"\nsha256 = \"{}\"\nexpires = \"2033-05-18T03:33:20Z\"\nscopes = [\"read\"]\n",
        created.sha256
    );
    fs::write(&file, text).unwrap();
    let config = Config { tokens: Some(file), ..Config::default() };
    let authenticator = Authenticator::new(config).unwrap_or_else(|error| panic!("{error}"));
    let end = 2_000_000_000;
    assert!(authenticator.known(&created.secret, end - 1).is_none(), "not verified yet");
    authenticator.verify(&created.secret, end - 1).await.unwrap();
    assert!(
        authenticator.known(&created.secret, end - 1).is_some() && authenticator.known(&created.secret, end).is_none()
    );
    assert_eq!(authenticator.verify(&created.secret, end).await.unwrap_err(), Rejected::Expired(0));
}

#[test]
fn a_file_that_cannot_be_used_at_the_start_is_named() {
    let config = Config { tokens: Some("/nowhere/tokens.toml".into()), ..Config::default() };
    let error = Authenticator::new(config).err().unwrap().to_string();
    assert!(error.contains("/nowhere/tokens.toml") && error.contains("correct the path"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_certified_openid_provider_are_accepted() {
    let name = "tokens_of_a_certified_openid_provider_are_accepted";
    let provider = tokio::task::spawn_blocking(|| Provider::start("features", "read:default write:default"));
    let Some(provider) = require(name, provider.await.unwrap()) else { return };
    let text = format!("issuer = \"{}\"\naudiences = [\"features\"]\nscopes_claim = \"scope\"\n", provider.issuer);
    let authenticator = start(Config { issuers: vec![toml::from_str(&text).unwrap()], ..Config::default() });
    let access = accepted(&authenticator, &provider.token("read:default").unwrap()).await;
    assert_eq!(&*access.who, "subject:features");
    assert!(access.may(Scope::Read, "default", "v") && !access.may(Scope::Write, "default", "v"));
    let both = verify(&authenticator, &provider.token("read:default write:default").unwrap()).await.unwrap();
    assert!(both.may(Scope::Write, "default", "v"));
}
