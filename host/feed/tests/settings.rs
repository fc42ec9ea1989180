//! Settings of a running server are changed.

mod support;

use littoral_feed::{
    client,
    server::{Config, Shared, serve_shared},
};
use littoral_model::format::ProtocolVersion;
use littoral_protocol::frame::*;
use support::*;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn changed_bounds_apply_to_new_subscribers_and_the_others_continue() {
    let (leader, stop) = (Leader::new(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shared = Shared::new(leader.clone(), Config::default(), stop.clone());
    let settings = shared.settings();
    tokio::spawn(serve_shared(listener, shared));
    let config = client::Config { leader: vec![address.clone()], ..client::Config::default() };

    let mut first = connect(&address).await;
    first.sender.send(&hello(Views::All, None)).unwrap();
    assert_eq!(next_hello(&mut first.receiver).await.heartbeat_ms, Config::default().heartbeat_ms);
    settings.set(Config { subscribers_max: 1, heartbeat_ms: 77, ..Config::default() });
    let rejected = client::connect(&config).await.unwrap_err().to_string();
    assert!(rejected.contains("already has 1 subscribers"), "{rejected}");

    // What needs a restart stays, whatever else changes.
    settings.set(Config { heartbeat_ms: 77, version: ProtocolVersion::PREVIOUS, ..Config::default() });
    let mut second = connect(&address).await;
    second.sender.send(&hello(Views::All, None)).unwrap();
    let stated = next_hello(&mut second.receiver).await;
    assert_eq!((stated.heartbeat_ms, stated.version), (77, VERSION_MAX));

    leader.put(1, 1);
    for peer in [&mut first, &mut second] {
        while !matches!(next(&mut peer.receiver).await, Downstream::Records { .. }) {}
    }
    stop.cancel();
}
