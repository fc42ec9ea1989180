//! Tests the gateway with stand-ins for edges: where requests are sent, what happens when a door fails, and what is
//! never retried.

mod fixture;
mod smuggling;

use bytes::Bytes;
use fixture::{Deed, Edge, Fixture, WELL, topology};
use http_body_util::Empty;
use littoral_router::Topology;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Long enough for everything that should happen at once, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3_600);

async fn edges() -> [Edge; 2] {
    [Edge::start("west").await, Edge::start("east").await]
}

#[tokio::test]
async fn a_request_is_sent_to_the_nearest_door_and_states_the_reason() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |_| {}).await;
    let near = fixture.read("1", &[]).await;
    assert!(near.text.starts_with("west /get-online-features 2"), "{near:?}");
    assert_eq!(near.header("littoral-routed-to"), "west/west-1");
    assert!(near.header("littoral-route-reason").starts_with("nearest; place=place_header"), "{near:?}");
    assert_eq!(fixture.read("29", &[]).await.header("littoral-routed-to"), "east/east-1");
    for _ in 0..50 {
        fixture.read("1", &[]).await;
    }
    assert!(edges[0].connections() <= 2, "one for probes and one for reads, kept: {}", edges[0].connections());
    let named = fixture.send("GET", "/v1/views", &[("littoral-region", "east")], "").await;
    assert!(named.text.starts_with("east "), "{named:?}");
    assert!(named.header("littoral-routed-to").is_empty(), "not requested");
    for (header, value) in [("littoral-place", "here"), ("littoral-region", "mars"), ("littoral-timeout-ms", "soon")] {
        let refused = fixture.send("GET", "/v1/views", &[(header, value)], "").await;
        assert!(refused.status == 400 && refused.text.contains(header), "{refused:?}");
    }
    let explained = fixture.send("GET", "/router/v1/explain?place=0%2C29&tenant=pinned", &[], "").await;
    let explained: serde_json::Value = serde_json::from_str(&explained.text).unwrap();
    assert_eq!(explained["candidates"][0]["region"], "east");
    assert_eq!(explained["regions"][1]["why_not"], "the tenant is restricted to other regions");
    let status: serde_json::Value =
        serde_json::from_str(&fixture.send("GET", "/router/v1/status", &[], "").await.text).unwrap();
    assert_eq!((&status["ready"], &status["regions"][0]["name"]), (&true.into(), &"west".into()));
}

#[tokio::test]
async fn a_web_page_can_use_a_router_only_if_its_origin_is_configured_and_doors_never_see_it() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| {
        let origins = vec!["https://console.example".to_owned()];
        config.gateway.origins = origins.try_into().unwrap();
        config.gateway.hosts = vec!["features.example".to_owned()].try_into().unwrap();
    })
    .await;
    let before = edges[0].count() + edges[1].count();
    for path in
        ["/push", "/get-online-features", "/v1/rows", "/router/v1/status", "/router/v1/explain", "/health", "/nope"]
    {
        for (headers, code) in [
            ([("origin", "https://evil.example"), ("littoral-place", "0,1")], "origin_not_allowed"),
            ([("origin", "null"), ("littoral-place", "0,1")], "origin_not_allowed"),
            ([("host", "evil.example"), ("littoral-place", "0,1")], "host_not_allowed"),
            ([("host", "evil.example"), ("origin", "https://console.example")], "host_not_allowed"),
        ] {
            let refused = fixture.send("POST", path, &headers, "{}").await;
            assert_eq!(refused.status, 403, "{path} {headers:?}: {refused:?}");
            let key = if code.starts_with("origin") { "router.gateway.origins" } else { "router.gateway.hosts" };
            assert!(refused.text.contains(key), "{path}: {refused:?}");
        }
    }
    assert_eq!(edges[0].count() + edges[1].count(), before, "none of it reached a door");
    let headers = [("host", "features.example"), ("origin", "https://console.example"), ("littoral-place", "0,1")];
    assert_eq!(fixture.send("POST", "/push", &headers, "{}").await.status, 200);
    let seen = edges[0].headers.lock().clone();
    // A door behind the router has its own address and origins.
    assert_eq!((seen["host"].to_str().unwrap(), seen.get("origin")), (&*edges[0].address.to_string(), None));
}

#[tokio::test]
async fn a_read_is_retried_and_a_write_only_if_it_is_safe() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |_| {}).await;
    for deed in [Deed::HangUp, Deed::Half, Deed::Answer(503), Deed::Answer(502)] {
        edges[0].does(deed.clone());
        let read = fixture.read("1", &[]).await;
        assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"), "{deed:?}");
        assert!(read.header("littoral-route-reason").starts_with("attempt 2 of 2"), "{read:?}");
    }
    edges[0].does(Deed::HangUp);
    let east = edges[1].count();
    let write = fixture.send("POST", "/push", &[("littoral-place", "0,1")], "{}").await;
    assert_eq!((write.status, edges[1].count()), (502, east), "{write:?}");
    assert!(write.text.contains("idempotency-key") && write.text.contains("FeastError"), "{write:?}");
    let keyed = [("littoral-place", "0,1"), ("idempotency-key", "k")];
    let elsewhere = fixture.send("POST", "/push", &keyed, "{}").await;
    assert_eq!((elsewhere.status, edges[1].count()), (503, east), "another region's leader does not have the key");

    let text = topology(&edges);
    let second = format!("{{ name = \"west-2\", door = \"{}\" }}]", edges[1].address);
    let (west, east_on) = text.split_at(text.find("[[regions]]\nname = \"east\"").unwrap());
    let tenants = east_on.find("[[tenants]]").unwrap();
    let one = west.replace(" }]", &format!(" }}, {second}")) + &east_on[tenants..].replace("\"east\"", "\"west\"");
    fixture.router.adopt(Topology::parse(&one).unwrap());
    fixture.eventually(|view| view.is_known() && view.regions.len() == 1).await;
    for _ in 0..5 {
        assert_eq!(fixture.send("POST", "/push", &keyed, "{}").await.status, 200, "the same region's other edge");
    }
    assert_eq!(edges[1].count(), east + 5);
}

#[tokio::test]
async fn retries_stay_within_their_budget_and_the_deadline_is_one() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| (config.retry.share, config.retry.burst) = (0.0, 3)).await;
    edges[0].does(Deed::Answer(503));
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(fixture.read("1", &[]).await.status);
    }
    assert_eq!(answers, [200, 200, 200, 503, 503, 503], "three retries at most; then the door's own answer");
}

#[tokio::test]
async fn all_attempts_share_one_deadline() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.gateway.attempt_timeout_ms = 100).await;
    edges.iter().for_each(|edge| edge.does(Deed::Slow(NEVER)));
    let began = Instant::now();
    let late = fixture.read("1", &[("littoral-timeout-ms", "400")]).await;
    assert_eq!(late.status, 504, "{late:?}");
    assert!((Duration::from_millis(390)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_door_is_passed_over_and_its_work_is_cancelled() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.gateway.attempt_timeout_ms = 2_000).await;
    edges[0].does(Deed::Slow(NEVER));
    let began = Instant::now();
    let read = fixture.read("1", &[]).await;
    assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    wait("the slow door's work ends", || edges[0].cancelled.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_slow_read_is_hedged_once_typical_durations_are_known() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| {
        (config.hedge.quantile, config.hedge.burst, config.gateway.attempt_timeout_ms) = (0.9, 5, 300_000);
    })
    .await;
    for _ in 0..200 {
        fixture.read("1", &[]).await;
    }
    edges[0].does(Deed::Slow(NEVER));
    let began = Instant::now();
    let read = fixture.read("1", &[]).await;
    assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"), "{read:?}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_its_request() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |_| {}).await;
    edges[0].does(Deed::Slow(NEVER));
    let mut stream = tokio::net::TcpStream::connect(fixture.address).await.unwrap();
    let head = "POST /v1/read HTTP/1.1\r\nhost: localhost\r\nlittoral-place: 0,1\r\ncontent-length: 2\r\n\r\n{}";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    wait("the work begins", || edges[0].count() == 1).await;
    drop(stream);
    wait("the work ends", || edges[0].cancelled.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn restrictions_and_draining_apply_and_the_topology_changes_while_running() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.gateway.attempt_timeout_ms = 60_000).await;
    let pinned = [("littoral-tenant", "pinned")];
    assert_eq!(fixture.read("1", &pinned).await.header("littoral-routed-to"), "east/east-1");

    edges[0].does(Deed::Slow(Duration::from_millis(600)));
    let running = fixture.read("1", &[]);
    let draining = topology(&edges).replacen("latitude", "role = \"draining\"\nlatitude", 1);
    let change = async {
        wait("it runs", || edges[0].count() == 1).await;
        fixture.router.adopt(Topology::parse(&draining).unwrap());
        fixture.read("1", &[]).await
    };
    let (finished, new) = tokio::join!(running, change);
    assert_eq!(
        (finished.status, finished.header("littoral-routed-to")),
        (200, "west/west-1"),
        "running requests may finish"
    );
    assert_eq!(new.header("littoral-routed-to"), "east/east-1");
    assert!(new.header("littoral-route-reason").starts_with("nearer_draining, passed over west"), "{new:?}");

    *edges[1].status.lock() = fixture::WELL.replace("true", "false").replace("\"lsn\":7", "\"lsn\":0");
    fixture.eventually(|view| !view.is_usable()).await;
    let nothing = fixture.read("1", &pinned).await;
    assert_eq!((nothing.status, nothing.header("retry-after")), (503, "1"), "{nothing:?}");
    assert!(nothing.text.contains("feast.errors"), "Feast's endpoints have Feast's errors: {nothing:?}");
    assert_eq!(nothing.header("littoral-error"), "nothing_left", "{nothing:?}");
    let problem = fixture.send("POST", "/v1/read", &[], "{}").await;
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert!(problem.text.contains("nothing_left"), "{problem:?}");
    assert_eq!(problem.header("littoral-error"), "nothing_left");
    assert_eq!(fixture.send("GET", "/v1/ready", &[], "").await.header("littoral-error"), "nothing_left");
    assert_eq!(fixture.send("GET", "/health", &[], "").await.status, 503);
}

#[tokio::test]
async fn doors_that_fail_requests_are_ejected_although_their_probes_succeed() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.outlier.consecutive_failures = 3).await;
    edges[0].does(Deed::HangUp);
    for _ in 0..3 {
        assert_eq!(fixture.read("1", &[]).await.status, 200);
    }
    let before = edges[0].count();
    for _ in 0..10 {
        let read = fixture.read("1", &[]).await;
        assert!(read.header("littoral-route-reason").starts_with("nearer_unhealthy, passed over west"), "{read:?}");
    }
    assert_eq!(edges[0].count(), before, "it receives no requests");
}

#[tokio::test]
async fn large_bodies_pass_and_too_large_ones_do_not() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| {
        (config.gateway.replay_bytes_max, config.gateway.write_bytes_max) = (10_000, 3_000_000);
        config.gateway.answer_bytes_held_max = 4;
    })
    .await;
    let write = fixture.send("POST", "/v1/rows", &[("littoral-place", "0,1")], vec![b'x'; 2_000_000]).await;
    assert!(write.text.starts_with("west /v1/rows 2000000"), "{write:?}");
    let refused = fixture.send("POST", "/v1/rows", &[], vec![b'x'; 3_000_001]).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    for _ in 0..5 {
        assert_eq!(fixture.read("1", &[]).await.status, 200, "an answer that is not buffered");
    }
}

#[tokio::test]
async fn addresses_are_located_by_subnet_and_only_proxies_are_trusted() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| {
        let subnet = |network: &str, longitude| littoral_router::decision::location::Subnet {
            network: network.parse().unwrap(),
            latitude: 0.0,
            longitude,
        };
        config.place.subnets = vec![subnet("203.0.113.0/24", 29.0), subnet("127.0.0.0/8", 1.0)];
        config.place.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let read = fixture.send("GET", "/v1/views", &[("x-forwarded-for", "198.51.100.7, 203.0.113.9")], "").await;
    assert_eq!(read.text, "east /v1/views 0 203.0.113.9");
    let read = fixture.send("GET", "/v1/views", &[], "").await;
    assert_eq!(read.text, "west /v1/views 0 127.0.0.1");
}

#[tokio::test]
async fn http2_is_accepted_too() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |_| {}).await;
    let client =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).http2_only(true).build_http();
    for _ in 0..20 {
        let request =
            http::Request::get(format!("http://{}/v1/views", fixture.address)).header("littoral-place", "0,1");
        let response = client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    }
    assert_eq!(edges[0].count(), 20);
}

async fn wait(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "did not happen in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_nodes_own_504_is_its_answer_and_not_a_failure_of_its_door() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.outlier.consecutive_failures = 3).await;
    let keyed = [("littoral-place", "0,1"), ("idempotency-key", "k")];
    edges[0].does(Deed::Says(504, "a_word"));
    for sent in 1..=10 {
        assert_eq!(fixture.send("POST", "/v1/views/v/rows", &keyed, "{}").await.status, 504);
        assert_eq!((edges[0].count(), edges[1].count()), (sent, 0), "one request each");
    }
    edges[0].does(Deed::Answer(200));
    assert_eq!(fixture.read("1", &[]).await.header("littoral-routed-to"), "west/west-1", "it is not ejected");
    edges[0].does(Deed::Answer(504));
    let something_before_it = fixture.read("1", &[]).await;
    assert_eq!((something_before_it.status, something_before_it.header("littoral-routed-to")), (200, "east/east-1"));
}

#[tokio::test]
async fn rows_that_a_region_may_not_hold_are_requested_from_another_region() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| {
        config.outlier.consecutive_failures = 3;
        (config.retry.share, config.retry.burst) = (0.0, 0);
    })
    .await;
    edges[0].does(Deed::Says(421, "outside_regions"));
    let place = ("littoral-place", "0,1");
    for sent in 1..=5 {
        let read = fixture.read("1", &[("littoral-project", "fraud")]).await;
        assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"), "{read:?}");
        assert_eq!(edges[1].headers.lock()["littoral-project"], "fraud");
        let write = fixture.send("POST", "/p/fraud/v1/rows", &[place, ("idempotency-key", "k")], "{}").await;
        assert_eq!((write.status, edges[1].count()), (200, 2 * sent), "{write:?}");
    }
    edges[1].does(Deed::Says(421, "outside_regions"));
    let nowhere = fixture.read("1", &[]).await;
    assert_eq!((nowhere.status, nowhere.header("littoral-error")), (421, "outside_regions"));
    edges.iter().for_each(|edge| edge.does(Deed::Answer(200)));
    assert_eq!(fixture.read("1", &[]).await.header("littoral-routed-to"), "west/west-1", "it is not ejected");
    // The router answers its own paths itself, whichever project they name.
    let counts = || (edges[0].count(), edges[1].count());
    let before = counts();
    for path in ["/p/fraud/health", "/p/fraud/v1/status", "/p/fraud/router/v1/status"] {
        assert_eq!(fixture.send("GET", path, &[], "").await.status, 200, "{path}");
    }
    assert_eq!(counts(), before);
}

#[tokio::test]
async fn a_large_body_is_sent_to_the_first_door_that_asks_for_it() {
    let edges = [Edge::start("west").await, Edge::start("middle").await, Edge::start("east").await];
    let fixture = Fixture::start(&edges, |config| {
        config.gateway.replay_bytes_max = 10_000;
        (config.gateway.attempts_max, config.retry.share, config.retry.burst) = (1, 0.0, 0);
    })
    .await;
    let body = vec![b'x'; 2_000_000];
    let write = async || fixture.send("POST", "/p/fraud/v1/rows", &[("littoral-place", "0,1")], body.clone()).await;
    let counts = || [edges[0].count(), edges[1].count(), edges[2].count()];
    edges[0].does(Deed::Rejects(421, "outside_regions"));
    edges[1].does(Deed::Rejects(503, "starting"));
    let written = write().await;
    assert!(written.status == 200 && written.text.starts_with("east /p/fraud/v1/rows 2000000"), "{written:?}");
    assert_eq!(counts(), [1, 1, 1]);
    edges[1].does(Deed::Answer(200));
    assert!(write().await.text.starts_with("middle /p/fraud/v1/rows 2000000"));
    assert_eq!(counts(), [2, 2, 1], "one door stores it");
    // A door that has received a part of the body decides.
    edges[0].does(Deed::Says(421, "outside_regions"));
    let decided = write().await;
    assert_eq!((decided.status, decided.header("littoral-error")), (421, "outside_regions"));
    edges.iter().for_each(|edge| edge.does(Deed::Rejects(421, "outside_regions")));
    let nowhere = write().await;
    assert_eq!((nowhere.status, nowhere.header("littoral-error")), (421, "outside_regions"));
    assert_eq!(counts(), [4, 3, 2]);
}

#[tokio::test]
async fn a_large_body_reaches_a_door_that_never_asks_for_it() {
    let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = Edge { address: door.local_addr().unwrap(), ..Edge::start("west").await };
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = door.accept().await.unwrap();
            tokio::spawn(async move {
                let mut received = Vec::new();
                let length = loop {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part).await.unwrap_or_default();
                    if read == 0 {
                        return;
                    }
                    received.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&received);
                    if text.starts_with("GET /v1/status") && text.contains("\r\n\r\n") {
                        break 0;
                    }
                    if received.ends_with(b"END") {
                        break received.iter().filter(|byte| **byte == b'%').count();
                    }
                };
                let body = if length == 0 { WELL.to_owned() } else { format!("received {length}") };
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    let fixture = Fixture::start(&[edge], |config| config.gateway.replay_bytes_max = 10_000).await;
    fixture.eventually(|view| view.is_usable()).await;
    let body = [vec![b'%'; 100_000], b"END".to_vec()].concat();
    let written = fixture.send("POST", "/v1/rows", &[], body).await;
    assert_eq!((written.status, written.text.as_str()), (200, "received 100000"));
}

#[tokio::test]
async fn a_region_that_may_not_hold_the_rows_is_asked_once_and_the_farthest_region_is_reached() {
    let edges = [Edge::start("west").await, Edge::start("middle").await, Edge::start("east").await];
    let mut west = vec![edges[0].clone()];
    for _ in 0..8 {
        west.push(Edge::start("west").await);
    }
    let fixture = Fixture::start(&edges, |config| (config.retry.share, config.retry.burst) = (0.0, 0)).await;
    // More doors in the nearest region than one decision names.
    let first = format!("{{ name = \"west-1\", door = \"{}\"", edges[0].address);
    let named = |(at, edge): (usize, &Edge)| format!("{{ name = \"west-{}\", door = \"{}\" }}, ", at + 1, edge.address);
    let others: String = west.iter().enumerate().skip(1).map(named).collect();
    let text = topology(&edges).replace(&first, &(others + &first));
    fixture.router.adopt(Topology::parse(&text).unwrap());
    fixture.eventually(|view| view.is_known() && view.doors.len() == 11).await;
    let outside = Deed::Says(421, "outside_regions");
    west.iter().chain([&edges[1]]).for_each(|edge| edge.does(outside.clone()));
    let counts = || [west.iter().map(Edge::count).sum(), edges[1].count(), edges[2].count()];
    let place = ("littoral-place", "0,1");
    let read = fixture.read("1", &[]).await;
    assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"), "{read:?}");
    let write = fixture.send("POST", "/p/fraud/v1/rows", &[place], "{}").await;
    assert_eq!(write.status, 200, "{write:?}");
    assert_eq!(counts(), [2, 2, 2], "one door of each region");
    edges[2].does(outside);
    let nowhere = fixture.read("1", &[]).await;
    assert_eq!((nowhere.status, nowhere.header("littoral-error")), (421, "outside_regions"));
    assert_eq!(counts(), [3, 3, 3], "none is asked again");
}

#[tokio::test]
async fn an_unmet_freshness_demand_is_an_answer_and_not_a_failure_of_the_door() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.outlier.consecutive_failures = 3).await;
    edges[0].does(Deed::Says(503, "too_many_waiting"));
    for sent in 1..=10 {
        let refused = fixture.read("1", &[("littoral-at-least", "t")]).await;
        assert_eq!((refused.status, refused.header("littoral-error")), (503, "too_many_waiting"));
        assert_eq!((edges[0].count(), edges[1].count()), (sent, 0), "no other door waits too");
    }
    edges[0].does(Deed::Answer(200));
    assert_eq!(fixture.read("1", &[]).await.header("littoral-routed-to"), "west/west-1", "it is not ejected");
}

#[tokio::test]
async fn a_client_that_disconnects_ends_its_wait() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.gateway.attempt_timeout_ms = 200).await;
    edges[0].does(Deed::Slow(Duration::from_secs(60)));
    let head = "POST /v1/read HTTP/1.1\r\nhost: localhost\r\nlittoral-place: 0,1\r\nlittoral-wait-ms: 30000\r\ncontent-length: 2\r\n\r\n{}";
    let mut client = tokio::net::TcpStream::connect(fixture.address).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    wait("the read waits", || edges[0].count() == 1).await;
    let answered = tokio::time::timeout(Duration::from_millis(500), client.read(&mut [0; 16])).await;
    assert!(answered.is_err(), "the read waits while its client is connected");
    drop(client);
    wait("the work ends", || edges[0].cancelled.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    assert_eq!(edges[1].count(), 0, "no other door got the read");
}

#[tokio::test]
async fn a_wait_that_the_body_demands_does_not_count_as_slow() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| config.gateway.attempt_timeout_ms = 100).await;
    edges[0].does(Deed::Slow(Duration::from_millis(700)));
    let body = r#"{"entities":{"id":[1]},"demand":{"at_least":"t","wait_ms":4000}}"#;
    let read = fixture.send("POST", "/v1/read", &[("littoral-place", "0,1"), ("littoral-explain", "1")], body).await;
    assert_eq!((read.status, read.header("littoral-routed-to"), edges[1].count()), (200, "west/west-1", 0), "{read:?}");
}

#[tokio::test]
async fn connections_survive_empty_answers_and_half_closed_clients_get_answers() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |_| {}).await;
    edges[0].does(Deed::Empty);
    for _ in 0..30 {
        assert_eq!(fixture.send("POST", "/push", &[("littoral-place", "0,1")], "{}").await.status, 200);
    }
    assert!(edges[0].connections() <= 3, "{} connections", edges[0].connections());
    edges[0].does(Deed::Slow(Duration::from_millis(50)));
    let mut client = tokio::net::TcpStream::connect(fixture.address).await.unwrap();
    let request = "POST /push HTTP/1.1\r\nhost: localhost\r\nlittoral-place: 0,1\r\ncontent-length: 2\r\n\r\n{}";
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_region_that_fails_as_a_whole_is_ejected_for_every_kind_of_failure() {
    for deed in [Deed::Answer(502), Deed::Answer(500), Deed::Answer(503), Deed::Answer(504), Deed::HangUp, Deed::Half] {
        let edges = edges().await;
        let fixture = Fixture::start(&edges, |config| config.outlier.consecutive_failures = 3).await;
        edges[0].does(deed.clone());
        for nth in 0..300 {
            let read = fixture.read("1", &[]).await;
            assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"), "{deed:?}, read {nth}");
        }
        assert!(edges[0].count() < 60, "{deed:?}: the failing one got {} requests", edges[0].count());
    }
}

#[tokio::test]
async fn a_draining_door_receives_no_further_requests() {
    let edges = edges().await;
    // No probe runs.
    let fixture = Fixture::start(&edges, |config| config.health.interval_ms = 60_000).await;
    edges[0].does(Deed::Drains);
    let last = fixture.read("1", &[]).await;
    assert_eq!((last.status, last.header("littoral-routed-to")), (200, "west/west-1"), "it still serves");
    assert!(last.header("littoral-draining").is_empty(), "the router does not drain: {last:?}");
    let next = fixture.read("1", &[]).await;
    assert_eq!((next.status, next.header("littoral-routed-to")), (200, "east/east-1"));
    assert_eq!(fixture.router.board().view.doors[0].state.as_str(), "draining");
}

#[tokio::test]
async fn a_read_without_a_usable_door_waits_for_a_door_to_start() {
    let edges = [Edge::not_started("west").await, Edge::not_started("east").await];
    let fixture = Fixture::start(&edges, |_| {}).await;
    assert!(fixture.router.board().view.doors.iter().all(|view| view.state.as_str() == "unreachable"));
    let start = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        edges[1].clone().serve().await;
    };
    let (read, ()) = tokio::join!(fixture.read("1", &[]), start);
    assert_eq!((read.status, read.header("littoral-routed-to")), (200, "east/east-1"), "{read:?}");
    assert!(read.header("littoral-route-reason").contains("panic=unreachable"), "{read:?}");
}

#[tokio::test]
async fn a_starting_node_is_passed_over_and_waited_for() {
    let edges = edges().await;
    let fixture = Fixture::start(&edges, |config| (config.retry.share, config.retry.burst) = (0.0, 0)).await;
    edges[0].does(Deed::Says(503, "starting"));
    for _ in 0..20 {
        let read = fixture.read("1", &[]).await;
        assert_eq!(
            (read.status, read.header("littoral-routed-to")),
            (200, "east/east-1"),
            "no retry was used: {read:?}"
        );
    }
    edges[1].does(Deed::Says(503, "not_ready"));
    let starts = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        edges[0].does(Deed::Answer(200));
    };
    let (read, ()) = tokio::join!(fixture.read("1", &[]), starts);
    assert_eq!((read.status, read.header("littoral-routed-to")), (200, "west/west-1"), "{read:?}");
}
