//! The peer listener with TLS: what each role gets over real connections.

mod support;

use littoral_feed::{
    client,
    server::{self, ViewGrant},
};
use littoral_model::{freshness::Consistency, pattern::Pattern, position::Epoch, view::ViewId};
use littoral_protocol::{frame::*, members::rpc::Request};
use littoral_tls::{
    Config, Identity, Tls,
    ca::{Ca, LIFETIME, Leaf},
    files,
};
use std::time::Duration;
use support::*;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

struct Secured {
    dir: TempDir,
    ca: Ca,
    address: String,
    shutdown: CancellationToken,
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Secured {
    /// Serves the feed as leader `m1` of region `eu`.
    async fn serve() -> Self {
        Self::serve_with(server::Config::default()).await
    }

    async fn serve_with(config: server::Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::init(&dir.path().join("ca"), "prod").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap().to_string(), CancellationToken::new());
        let secured = Self { dir, ca, address, shutdown };
        let tls = secured.tls("littoral://prod/eu/leader/m1", LIFETIME);
        let leader = Leader::new();
        leader.put(1, 1);
        leader.put(2, 2);
        let shared = server::Shared::new(leader, config, secured.shutdown.clone()).with_tls(tls);
        tokio::spawn(server::serve_shared(listener, shared));
        secured
    }

    fn tls(&self, identity: &str, lifetime: Duration) -> Tls {
        let identity: Identity = identity.parse().unwrap();
        let file = self.dir.path().join(format!("{}-{}.pem", identity.role, identity.name));
        let leaf = Leaf { identity, dns_names: Vec::new(), addresses: Vec::new(), lifetime };
        files::install(&file, &file, &self.ca.issue(&leaf).unwrap()).unwrap();
        let config = Config { cert: Some(file), trust: Some(self.ca.trust_file()), ..Config::default() };
        Tls::load(&config).unwrap()
    }

    fn client(&self, identity: &str) -> client::Config {
        let tls = Some(self.tls(identity, LIFETIME));
        client::Config { leader: vec![self.address.clone()], tls, ..client::Config::default() }
    }
}

#[tokio::test]
async fn an_edge_subscribes_and_calls_and_cannot_act_as_a_member() {
    let secured = Secured::serve().await;
    let mut edge = client::connect(&secured.client("littoral://prod/eu/edge/e1")).await.unwrap();
    edge.sender.send(&hello(Views::All, None)).unwrap();
    assert_eq!(next_hello(&mut edge.receiver).await.mode, Mode::Snapshot);
    edge.calls.status().await.unwrap();
    let prepare = Request::Prepare { member: "m2".into(), epoch: Epoch(9) };
    let error = edge.calls.member(prepare).await.unwrap_err().to_string();
    assert!(error.contains("littoral://prod/eu/edge/e1 may not take part in the region's log"), "{error}");
    edge.calls.status().await.expect("the stream of calls continues after a rejected call");
}

#[tokio::test]
async fn an_edge_reads_only_the_views_of_its_grants() {
    let grant = ViewGrant { to: Pattern::new("littoral://prod/eu/edge/*"), views: vec![Pattern::new("b")] };
    let secured = Secured::serve_with(server::Config { grants: vec![grant], ..server::Config::default() }).await;
    let edge = secured.client("littoral://prod/eu/edge/e1");
    for views in [Views::All, Views::Names(vec!["a".into(), "b".into()])] {
        let mut peer = client::connect(&edge).await.unwrap();
        peer.sender.send(&hello(views, None)).unwrap();
        match next(&mut peer.receiver).await {
            Downstream::Error { message, .. } => assert!(message.contains("may not read") && message.contains("[b]")),
            other => panic!("{other:?}"),
        }
    }
    let mut peer = client::connect(&edge).await.unwrap();
    peer.sender.send(&hello(Views::Names(vec!["b".into()]), None)).unwrap();
    assert_eq!(next_hello(&mut peer.receiver).await.mode, Mode::Snapshot);
    let read = |view| peer.calls.read(keys(view, [2]), Consistency::Replica);
    assert!(read(2).await.unwrap().rows[0][0].is_some());
    for error in [read(1).await.map(drop).unwrap_err(), peer.calls.bucket(ViewId(1), 0, None).await.unwrap_err()] {
        assert!(error.to_string().contains("may not read the view 'a'"), "{error}");
    }
    // A leader is not restricted.
    let mut leader = client::connect(&secured.client("littoral://prod/us/leader/l1")).await.unwrap();
    leader.sender.send(&hello(Views::ForRegion("us".parse().unwrap()), None)).unwrap();
    next_hello(&mut leader.receiver).await;
}

#[tokio::test]
async fn only_the_leader_of_a_region_replicates_for_it() {
    let secured = Secured::serve().await;
    let region = || Views::ForRegion("us".parse().unwrap());
    for (identity, expected) in [
        ("littoral://prod/us/edge/e1", "may not replicate for a region"),
        ("littoral://prod/asia/leader/l1", "may not replicate for region 'us'"),
    ] {
        let mut peer = client::connect(&secured.client(identity)).await.unwrap();
        peer.sender.send(&hello(region(), None)).unwrap();
        match next(&mut peer.receiver).await {
            Downstream::Error { message, .. } => assert!(message.contains(expected), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    let mut leader = client::connect(&secured.client("littoral://prod/us/leader/l1")).await.unwrap();
    leader.sender.send(&hello(region(), None)).unwrap();
    next_hello(&mut leader.receiver).await;
}

#[tokio::test]
async fn a_router_is_rejected_with_the_roles_that_may_subscribe() {
    let secured = Secured::serve().await;
    let error = client::connect(&secured.client("littoral://prod/eu/router/r1")).await.unwrap_err().to_string();
    assert!(error.contains("status 403") && error.contains("role edge or relay or leader"), "{error}");
}

#[tokio::test]
async fn a_peer_without_tls_is_not_served() {
    let secured = Secured::serve().await;
    let plain = client::Config { leader: vec![secured.address.clone()], ..client::Config::default() };
    client::connect(&plain).await.unwrap_err();
}

#[tokio::test]
async fn a_connection_ends_when_the_certificate_that_opened_it_expires() {
    let secured = Secured::serve().await;
    let tls = Some(secured.tls("littoral://prod/eu/edge/e1", Duration::from_secs(3)));
    let config = client::Config { leader: vec![secured.address.clone()], tls, ..client::Config::default() };
    let mut edge = client::connect(&config).await.unwrap();
    edge.sender.send(&hello(Views::All, None)).unwrap();
    next_hello(&mut edge.receiver).await;
    let ended = async {
        loop {
            match edge.receiver.next().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the connection ends");
    let error = client::connect(&config).await.unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn a_node_that_subscribes_again_and_again_leaves_subscriptions_for_others() {
    let config = server::Config { subscribers_max: 20, connections_max: 100, ..server::Config::default() };
    let secured = Secured::serve_with(config).await;
    let greedy = secured.client("littoral://prod/eu/edge/e1");
    let mut kept = Vec::new();
    for _ in 0..40 {
        match client::connect(&greedy).await {
            Ok(connection) => kept.push(connection),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("status 503") && error.contains("its share"), "{error}");
            }
        }
    }
    assert_eq!(kept.len(), 10, "it may have as many as it leaves free");
    let mut other = client::connect(&secured.client("littoral://prod/eu/edge/e2")).await.unwrap();
    other.sender.send(&hello(Views::All, None)).unwrap();
    next_hello(&mut other.receiver).await;
}

#[tokio::test]
async fn strangers_that_never_end_their_handshakes_leave_connections_for_nodes() {
    let config = server::Config { connections_max: 20, ..server::Config::default() };
    let secured = Secured::serve_with(config).await;
    let mut strangers = Vec::new();
    for _ in 0..40 {
        // A stranger needs no certificate for this: it never begins its handshake.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        strangers.push(socket.connect(secured.address.parse().unwrap()).await.unwrap());
    }
    let mut edge = client::connect(&secured.client("littoral://prod/eu/edge/e1")).await.unwrap();
    edge.sender.send(&hello(Views::All, None)).unwrap();
    next_hello(&mut edge.receiver).await;
}
