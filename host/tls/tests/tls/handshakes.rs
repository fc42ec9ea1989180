//! Which nodes accept each other.

use crate::support::{Authority, Connected, connect};
use littoral_tls::Tls;
use std::{fs, io};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

const EDGE: &str = "littoral://prod/eu/edge/e1";
const LEADER: &str = "littoral://prod/eu/leader/l1";

/// Returns why the connecting node did not connect.
fn reason(connected: Connected) -> String {
    connected.0.unwrap_err().to_string()
}

#[tokio::test]
async fn nodes_of_one_cluster_know_each_other_by_identity() {
    let authority = Authority::new();
    let (edge, leader) = (authority.node(EDGE).load(), authority.node(LEADER).load());
    let (connected, accepted) = connect(&edge, &leader).await;
    connected.unwrap();
    let (_, identity) = accepted.unwrap();
    assert_eq!(identity.identity.as_ref().unwrap().to_string(), EDGE);
}

#[tokio::test]
async fn a_peer_address_must_be_served_by_a_leader_or_a_relay() {
    let authority = Authority::new();
    let load = |identity: &str| authority.node(identity).load();
    let (edge, leader) = (load(EDGE), load(LEADER));
    let (stolen, relay) = (load("littoral://prod/eu/edge/e2"), load("littoral://prod/eu/relay/r1"));
    let text = reason(connect(&edge, &stolen).await);
    assert!(text.contains("the role 'edge' does not serve this"), "{text}");
    connect(&edge, &relay).await.0.unwrap();
    let text = reason(connect(&leader, &relay).await);
    assert!(text.contains("the role 'relay' does not serve this"), "{text}");
    connect(&leader, &load("littoral://prod/us/leader/l2")).await.0.unwrap();
}

#[tokio::test]
async fn a_node_of_another_cluster_is_rejected_though_its_root_is_trusted() {
    let (authority, other) = (Authority::new(), Authority::of("test"));
    let (edge, leader) = (authority.node(EDGE), other.node("littoral://test/eu/leader/l1"));
    let both = format!("{}{}", authority.ca.trust().unwrap(), other.ca.trust().unwrap());
    for node in [&edge, &leader] {
        fs::write(node.config.trust.as_ref().unwrap(), &both).unwrap();
    }
    let text = reason(connect(&edge.load(), &leader.load()).await);
    assert!(text.contains("of another cluster than this node (prod)"), "{text}");
}

#[tokio::test]
async fn a_node_of_an_untrusted_root_is_rejected_by_both_ends() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (edge, leader) = (authority.node(EDGE).load(), other.node(LEADER).load());
    let text = reason(connect(&edge, &leader).await);
    assert!(text.contains("no trusted root signed"), "{text}");
    // The leader alone rejects: the edge trusts it.
    let edge = authority.node(EDGE);
    fs::write(authority.path("both.pem"), format!("{}{}", authority.ca.trust().unwrap(), other.ca.trust().unwrap()))
        .unwrap();
    let config = littoral_tls::Config { trust: Some(authority.path("both.pem")), ..edge.config };
    let (connected, accepted) = connect(&Tls::load(&config).unwrap(), &leader).await;
    let text = connected.unwrap_err().to_string();
    assert!(text.contains("does not trust the root") || text.contains("rejected this node's certificate"), "{text}");
    assert!(accepted.unwrap_err().to_string().contains("no trusted root signed"));
}

#[tokio::test]
async fn a_client_without_tls_is_rejected_with_the_reason() {
    let authority = Authority::new();
    let leader = authority.node(LEADER).load();
    let (mut ours, theirs) = duplex(1 << 10);
    ours.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let error: io::Error = leader.accept_client(theirs).await.unwrap_err();
    assert!(error.to_string().contains("does not use TLS"), "{error}");
}

#[tokio::test]
async fn a_door_must_be_in_the_configured_region() {
    let authority = Authority::new();
    let (router, edge) = (authority.node("littoral://prod/eu/router/r1").load(), authority.node(EDGE).load());
    let connect = async |region: &str| {
        let (ours, theirs) = duplex(64 << 10);
        tokio::join!(router.connect_door("127.0.0.1:1", region, ours), edge.accept_client(theirs))
    };
    let (connected, accepted) = connect("eu").await;
    connected.unwrap();
    assert_eq!(accepted.unwrap().1.unwrap().identity.as_ref().unwrap().name, "r1");
    let text = connect("us").await.0.unwrap_err().to_string();
    assert!(text.contains("of another region than configured (us)"), "{text}");
}

#[tokio::test]
async fn a_reload_keeps_open_connections_and_new_ones_use_the_new_certificate() {
    let authority = Authority::new();
    let (edge, leader) = (authority.node(EDGE), authority.node(LEADER));
    let (edge_tls, leader_tls) = (edge.load(), leader.load());
    let (connected, accepted) = connect(&edge_tls, &leader_tls).await;
    let (mut ours, (mut theirs, before)) = (connected.unwrap(), accepted.unwrap());
    authority.node(EDGE);
    assert!(edge_tls.reload().unwrap());
    ours.write_all(b"still open").await.unwrap();
    ours.flush().await.unwrap();
    let mut read = [0; 10];
    theirs.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still open");
    let after = connect(&edge_tls, &leader_tls).await.1.unwrap().1;
    assert_ne!(after.fingerprint, before.fingerprint);
}
