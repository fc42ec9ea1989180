//! Bad files: each is rejected with its place and its remedy, and the last good state stays in force.

use crate::support::{Authority, Node, connect};
use littoral_tls::{ca::LIFETIME, files};
use std::{fs, time::Duration};

const EDGE: &str = "littoral://prod/eu/edge/e1";
const LEADER: &str = "littoral://prod/eu/leader/l1";

#[test]
fn a_certificate_that_has_expired_is_rejected() {
    let authority = Authority::new();
    let file = authority.path("expired.pem");
    files::install(&file, &file, &authority.issue(EDGE, Duration::ZERO)).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let text = Node::of(&file, &file, &authority.ca.trust_file()).rejected();
    assert!(text.contains("expired.pem") && text.contains("expired at 20") && text.contains("renew it"), "{text}");
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_rejected() {
    let authority = Authority::new();
    let file = authority.path("early.pem");
    fs::write(
        &file,
        foreign(&authority, |params| {
            params.not_before = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
            params.subject_alt_names = vec![rcgen::SanType::URI(EDGE.try_into().unwrap())];
        }),
    )
    .unwrap();
    let text = Node::of(&file, &file, &authority.path("foreign-root.pem")).rejected();
    assert!(text.contains("early.pem") && text.contains("not valid before 20") && text.contains("clocks"), "{text}");
}

#[test]
fn a_certificate_without_an_identity_or_with_two_is_rejected() {
    let authority = Authority::new();
    let file = authority.path("foreign.pem");
    let node = || Node::of(&file, &file, &authority.path("foreign-root.pem"));
    let uri = |text: &str| rcgen::SanType::URI(text.try_into().unwrap());
    fs::write(&file, foreign(&authority, |params| params.subject_alt_names = vec![uri("spiffe://corp/edge/e1")]))
        .unwrap();
    let text = node().rejected();
    assert!(text.contains("no identity of Littoral") && text.contains("[[tls.spiffe]]"), "{text}");
    let mapped = node().mapping("spiffe://corp/edge/*", "littoral://prod/eu/edge/*");
    assert_eq!(mapped.load().identity().to_string(), EDGE);
    fs::write(&file, foreign(&authority, |params| params.subject_alt_names = vec![uri(EDGE), uri(LEADER)])).unwrap();
    let text = node().rejected();
    assert!(text.contains("two identities"), "{text}");
}

#[test]
fn a_certificate_for_another_use_is_rejected() {
    let authority = Authority::new();
    let file = authority.path("server-only.pem");
    fs::write(
        &file,
        foreign(&authority, |params| {
            params.subject_alt_names = vec![rcgen::SanType::URI(EDGE.try_into().unwrap())];
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        }),
    )
    .unwrap();
    let text = Node::of(&file, &file, &authority.path("foreign-root.pem")).rejected();
    assert!(text.contains("key usage") && text.contains("server and client authentication"), "{text}");
}

#[test]
fn garbage_in_a_bundle_is_rejected_with_its_number() {
    let authority = Authority::new();
    let node = authority.node(EDGE);
    let trust = authority.path("bundle.pem");
    let bundle = |second: &str| {
        fs::write(&trust, format!("{}{second}", authority.ca.trust().unwrap())).unwrap();
        Node::of(node.config.cert.as_ref().unwrap(), node.config.key.as_ref().unwrap(), &trust)
    };
    bundle("a comment between certificates is allowed\n").load();
    let text = bundle("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").rejected();
    assert!(text.contains("bundle.pem: certificate 2 is garbage") && text.contains("remove it"), "{text}");
    let text = bundle("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").rejected();
    assert!(text.contains("certificate 2 is garbage"), "{text}");
    let leaf = authority.issue(EDGE, LIFETIME).chain;
    let text = bundle(&leaf).rejected();
    assert!(text.contains("certificate 2") && text.contains("is not a certificate authority"), "{text}");
    fs::write(&trust, "").unwrap();
    let empty = Node::of(node.config.cert.as_ref().unwrap(), node.config.key.as_ref().unwrap(), &trust).rejected();
    assert!(empty.contains("it has no certificate"), "{empty}");
    fs::remove_file(&trust).unwrap();
    let missing = Node::of(node.config.cert.as_ref().unwrap(), node.config.key.as_ref().unwrap(), &trust).rejected();
    assert!(missing.contains("cannot be read") && missing.contains("permissions"), "{missing}");
}

#[test]
fn a_certificate_of_an_untrusted_root_is_rejected() {
    let (authority, other) = (Authority::new(), Authority::new());
    let node = authority.node(EDGE);
    let file = node.config.cert.as_ref().unwrap();
    let text = Node::of(file, file, &other.ca.trust_file()).rejected();
    assert!(text.contains("no trusted root signed") && text.contains("trust bundle"), "{text}");
}

#[test]
fn a_pair_is_never_half_new() {
    let authority = Authority::new();
    let (cert, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    let [old, new] = [0; 2].map(|_| authority.issue(EDGE, LIFETIME));
    files::install(&cert, &key, &old).unwrap();
    let node = Node::of(&cert, &key, &authority.ca.trust_file());
    let tls = node.load();
    let before = tls.certificate();

    // The certificate was replaced and its key was not: the old pair stays in force.
    fs::write(&cert, &new.chain).unwrap();
    let text = tls.reload().unwrap_err().to_string();
    assert!(text.contains("key.pem") && text.contains("does not belong to the certificate in"), "{text}");
    assert_eq!(tls.certificate(), before);
    assert!(tls.reload().is_err(), "until the key is replaced too");

    // The key follows.
    fs::write(&key, &new.key).unwrap();
    assert!(tls.reload().unwrap());
    assert!(!tls.reload().unwrap(), "the same state is in force already");
    assert_ne!(tls.certificate().fingerprint, before.fingerprint);
}

#[test]
fn a_renewal_that_stopped_between_its_files_can_be_loaded() {
    let authority = Authority::new();
    let (cert, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    let [old, new] = [0; 2].map(|_| authority.issue(EDGE, LIFETIME));
    files::install(&cert, &key, &old).unwrap();
    let node = Node::of(&cert, &key, &authority.ca.trust_file());
    fs::write(authority.path("key.pem.next"), &new.key).unwrap();
    node.load();
    fs::write(&cert, &new.chain).unwrap();
    node.load();
}

#[tokio::test]
async fn a_bad_new_file_changes_nothing() {
    let authority = Authority::new();
    let (edge, leader) = (authority.node(EDGE), authority.node(LEADER));
    let (edge_tls, leader_tls) = (edge.load(), leader.load());
    for bad in ["", "garbage", &authority.issue(LEADER, LIFETIME).chain] {
        fs::write(edge.config.cert.as_ref().unwrap(), bad).unwrap();
        edge_tls.reload().unwrap_err();
        let (connected, accepted) = connect(&edge_tls, &leader_tls).await;
        connected.unwrap();
        assert_eq!(accepted.unwrap().1.identity.as_ref().unwrap().to_string(), EDGE);
    }
    let other = authority.issue("littoral://prod/eu/edge/e2", LIFETIME);
    let file = edge.config.cert.as_ref().unwrap();
    files::install(file, file, &other).unwrap();
    let text = edge_tls.reload().unwrap_err().to_string();
    assert!(text.contains("belongs to littoral://prod/eu/edge/e2, but this node is"), "{text}");
}

/// Returns a certificate and its key that a foreign authority has issued. The authority's root is in
/// `foreign-root.pem`.
fn foreign(authority: &Authority, change: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    fs::write(authority.path("foreign-root.pem"), root.self_signed(&root_key).unwrap().pem()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    change(&mut params);
    let issuer = rcgen::Issuer::new(root, root_key);
    format!("{}{}", params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}
