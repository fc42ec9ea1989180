//! What a router accepts from whom: headers that influence routing, administration, and changes.

mod fixture;

use fixture::{Deed, Edge, Fixture};
use littoral_router::config::Config;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

/// Long enough for everything that should happen at once, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

async fn edges() -> [Edge; 2] {
    [Edge::start("west").await, Edge::start("east").await]
}

/// Starts a router beyond loopback that trusts these networks.
async fn start(edges: &[Edge], trusted: &[&str]) -> Fixture {
    let networks = trusted.iter().map(|network| network.parse().unwrap()).collect();
    Fixture::start_on("0.0.0.0", edges, |config: &mut Config| config.trust.addresses = networks).await
}

#[tokio::test]
async fn a_tenant_or_a_part_of_an_untrusted_client_is_rejected_and_a_place_is_ignored() {
    let edges = edges().await;
    let fixture = start(&edges, &[]).await;
    for header in ["littoral-tenant", "littoral-part"] {
        let refused = fixture.send("POST", "/get-online-features", &[(header, "pinned")], "{}").await;
        assert_eq!((refused.status, refused.header("littoral-error")), (403, "header_not_trusted"), "{header}");
        assert!(refused.text.contains("router.trust.addresses"), "{}", refused.text);
    }
    for header in [("littoral-place", "nowhere"), ("littoral-region", "mars"), ("x-forwarded-for", "203.0.113.7")] {
        let answer = fixture.send("POST", "/get-online-features", &[header, ("littoral-explain", "1")], "{}").await;
        assert_eq!(answer.status, 200, "{header:?}: {}", answer.text);
        assert!(answer.header("littoral-route-reason").contains("place=nowhere"), "{answer:?}");
    }
}

/// A door trusts the router, so a stranger's trace must not arrive there as the router's.
#[tokio::test]
async fn a_router_without_traces_passes_on_the_trace_of_a_trusted_client_only() {
    const TRACE: [(&str, &str); 2] =
        [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", "a=1")];
    for (trusted, is_passed_on) in [(&[][..], false), (&["127.0.0.0/8"], true)] {
        let edge = Edge::start("west").await;
        let edges = [edge.clone()];
        let fixture = start(&edges, trusted).await;
        assert_eq!(fixture.send("POST", "/get-online-features", &TRACE, "{}").await.status, 200);
        let headers = edge.headers.lock().clone();
        for (name, value) in TRACE {
            assert_eq!(headers.get(name).is_some_and(|passed| passed == value), is_passed_on, "{name}: {headers:?}");
            assert_eq!(headers.contains_key(name), is_passed_on, "{name}: {headers:?}");
        }
    }
}

#[tokio::test]
async fn headers_of_a_trusted_client_are_believed() {
    let edges = edges().await;
    let fixture = start(&edges, &["127.0.0.0/8"]).await;
    assert_eq!(fixture.read("29", &[]).await.header("littoral-routed-to"), "east/east-1");
    let pinned = fixture.read("1", &[("littoral-tenant", "pinned")]).await;
    assert_eq!(pinned.header("littoral-routed-to"), "east/east-1");
}

#[tokio::test]
async fn a_router_beyond_loopback_serves_its_state_at_its_own_listener_only() {
    let edges = edges().await;
    let fixture = start(&edges, &[]).await;
    for path in ["/metrics", "/v1/status", "/router/v1/status", "/router/v1/explain"] {
        let refused = fixture.send("GET", path, &[], "").await;
        assert!(refused.status == 403 && refused.text.contains("admin_listen"), "{path}: {refused:?}");
    }
    for path in ["/v1/status", "/router/v1/status", "/router/v1/explain"] {
        assert_eq!(fixture.send_to(fixture.admin, "GET", path, &[], "").await.status, 200, "{path}");
    }
    for path in ["/health", "/v1/ready"] {
        assert_eq!(fixture.send("GET", path, &[], "").await.status, 200, "{path}");
        assert_eq!(fixture.send_to(fixture.admin, "GET", path, &[], "").await.status, 200, "{path}");
    }
    assert_eq!(fixture.send_to(fixture.admin, "POST", "/get-online-features", &[], "{}").await.status, 404);
}

#[tokio::test]
async fn a_read_only_router_forwards_reads_and_rejects_every_other_request() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config: &mut Config| config.gateway.read_only = true).await;
    for (method, path) in [("POST", "/push"), ("POST", "/v1/rows"), ("PUT", "/v1/views/v"), ("DELETE", "/v1/modules/m")]
    {
        let rejected = fixture.send(method, path, &[], "{}").await;
        assert_eq!((rejected.status, rejected.header("littoral-error")), (403, "read_only"), "{method} {path}");
    }
    for (method, path) in [("POST", "/get-online-features"), ("POST", "/v1/read"), ("GET", "/v1/views")] {
        assert_eq!(fixture.send(method, path, &[], "{}").await.status, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn one_address_cannot_use_up_the_requests_of_a_router() {
    let edges = edges().await;
    let change = |config: &mut Config| (config.gateway.requests_max, config.gateway.attempts_max) = (4, 1);
    let fixture = Fixture::start_on("0.0.0.0", &edges, change).await;
    edges.iter().for_each(|edge| edge.does(Deed::Slow(Duration::from_secs(3_600))));
    let send = async |from: [u8; 4]| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(fixture.address).await.unwrap();
        stream.write_all(b"GET /v1/views HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        stream
    };
    let arrive = async |count: usize| {
        while edges.iter().map(Edge::count).sum::<usize>() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut running = Vec::new();
    for (count, from) in [(1, [127, 0, 0, 2]), (2, [127, 0, 0, 2]), (3, [127, 0, 0, 3])] {
        if count == 3 {
            let mut answer = [0; 12];
            send([127, 0, 0, 2]).await.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 429");
        }
        running.push(send(from).await);
        tokio::time::timeout(SOON, arrive(count)).await.expect("the request reaches a door");
    }
}
