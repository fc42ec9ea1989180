//! Headers that influence routing, from clients that are trusted and from others; and the listener for administration.

mod fixture;

use fixture::{Edge, Fixture};
use littoral_router::config::Config;

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
