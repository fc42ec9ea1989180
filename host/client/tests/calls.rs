//! The client's requests, its parsing of responses, and its retries.

#[path = "support/server.rs"]
mod server;

use bytes::Bytes;
use littoral_client::{Client, Config, Demand, Error, Read, Readiness, RowDocument, ViewRows};
use littoral_model::{
    column::Status,
    freshness::{Degraded, OnUnmet, Source},
    merge::MergePolicy,
    position::Lsn,
    service::{FeatureService, Projection},
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde_json::{Value, json};
use server::Server;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

fn client(url: &str) -> Client {
    let config = Config { backoff_ms: 1, timeout_ms: 2_000, answer_bytes_max: 100_000, ..Config::default() };
    Client::new(url, config).unwrap()
}

fn body(value: Value) -> Bytes {
    serde_json::to_vec(&value).unwrap().into()
}

fn json_of(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

fn view() -> FeatureView {
    FeatureView {
        id: ViewId(4),
        name: "airport_hourly".into(),
        join_keys: vec![JoinKey { name: "iata".into(), entity: "airport".into(), value_type: ValueType::String }],
        features: vec![Feature { name: "mean_delay_1h".into(), value_type: ValueType::Double }],
        ttl_ms: Some(3_600_000),
        merge: MergePolicy::LatestWrite,
    }
}

#[tokio::test]
async fn a_view_round_trips() {
    let server = Server::start(|request| {
        let wire = json!({
            "entities": [{"name": "airport", "join_key": "iata", "value_type": "string"}],
            "features": [{"name": "mean_delay_1h", "value_type": "double"}],
            "ttl_ms": 3_600_000, "merge": "latest_write",
        });
        let mut back = wire.clone();
        back["name"] = json!("airport_hourly");
        back["id"] = json!(4);
        match (request.method().as_str(), request.uri().path()) {
            ("PUT", "/v1/views/airport_hourly") => {
                assert_eq!(json_of(request.body()), wire);
                (200, body(json!({"position": {"incarnation": 1, "lsn": 2}, "token": "t", "view": back})))
            }
            ("GET", "/v1/catalogue") => (
                200,
                body(json!({"generation": 3, "views": [back], "modules": [], "services": [], "push_sources": []})),
            ),
            ("GET", "/v1/views") => (200, body(json!({"views": [back]}))),
            // Nodes of older versions answer in this form.
            ("GET", "/v1/views/airport_hourly") => (200, body(serde_json::to_value(view()).unwrap())),
            _ => (404, body(json!({"status": 404, "code": "unknown_view", "detail": "there is no view 'x'"}))),
        }
    })
    .await;
    let client = client(&server.url);
    let put = client.put_view(&view()).await.unwrap();
    assert_eq!((put.view, put.receipt.position.lsn), (view(), Lsn(2)));
    assert_eq!(client.views().await.unwrap(), [view()]);
    assert_eq!(client.view("airport_hourly").await.unwrap(), view());
    let catalogue = client.catalogue().await.unwrap();
    assert_eq!((catalogue.generation, catalogue.views), (3, vec![view()]));
    let error = client.view("x").await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("unknown_view", "there is no view 'x' (unknown_view, status 404)")
    );
}

#[tokio::test]
async fn a_read_sends_its_demand_and_returns_its_freshness() {
    let server = Server::start(|request| {
        assert_eq!(
            json_of(request.body()),
            json!({
                "features": ["airport_hourly:mean_delay_1h"], "entities": {"iata": ["ATL", "ZZZ"]},
                "full_feature_names": false,
                "demand": {"max_staleness_ms": 50, "at_least": "us@0000000000000001:7", "on_unmet": "serve_stale"},
            })
        );
        (
            200,
            body(json!({
                "columns": [{
                    "name": "mean_delay_1h", "values": [3.5, null], "statuses": ["PRESENT", "NOT_FOUND"],
                    "event_timestamps": ["2001-06-30T00:00:00Z", null], "ages_ms": [12, null],
                }],
                "freshness": {"position": "0000000000000001:6", "token": "us@0000000000000001:6",
                    "staleness_ms": 75, "source": "replica", "degraded": "demand_unmet"},
                "modules": {},
            })),
        )
    })
    .await;
    let demand = Demand {
        max_staleness_ms: Some(50),
        at_least: Some("us@0000000000000001:7".into()),
        on_unmet: Some(OnUnmet::ServeStale),
        ..Demand::default()
    };
    let read = Read::features(["airport_hourly:mean_delay_1h"]).entity("iata", ["ATL", "ZZZ"]).demand(demand);
    let answer = client(&server.url).read(&read).await.unwrap();
    let column = answer.column("mean_delay_1h").unwrap();
    assert_eq!((&column.values[0], column.statuses[1]), (&json!(3.5), Status::NotFound));
    let fresh = &answer.freshness;
    assert_eq!(
        (fresh.staleness_ms, fresh.source, fresh.degraded),
        (Some(75.0), Source::Replica, Some(Degraded::DemandUnmet))
    );
}

#[tokio::test]
async fn only_safe_calls_are_retried() {
    let calls = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&calls);
    let server = Server::start(move |_| {
        let receipt = json!({"first": 1, "position": "0000000000000001:1", "token": "t", "rows": 1, "concern": "local", "duplicate": false});
        match heard.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => (503, body(json!({"status": 503, "code": "overloaded", "detail": "busy"}))),
            _ => (200, body(receipt)),
        }
    })
    .await;
    let client = client(&server.url);
    let rows = ViewRows { view: "v".into(), rows: vec![RowDocument::default()], deletes: vec![] };
    let error = client.write_rows(&rows, None).await.unwrap_err();
    assert_eq!((error.code(), calls.load(Ordering::SeqCst)), ("overloaded", 1));
    assert_eq!(client.write_rows(&rows, Some("key-1")).await.unwrap().first, Lsn(1));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn not_ready_is_an_answer() {
    let server = Server::start(|_| (503, body(json!({"status": 503, "detail": "first snapshot is on its way"})))).await;
    let client = client(&server.url);
    assert_eq!(client.ready().await.unwrap(), Readiness::NotReady("first snapshot is on its way".into()));
    let error = client.wait_ready(std::time::Duration::from_millis(60)).await.unwrap_err();
    assert!(error.to_string().contains("first snapshot is on its way"));
}

#[tokio::test]
async fn errors_have_the_url_and_what_to_do() {
    // A port that was free a moment ago, without a listener.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(&free.to_string()).status().await.unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, Error::Connect { .. }), "{words}");
    assert!(words.contains(&format!("http://{free}/v1/status")) && words.contains("littoral status"), "{words}");

    let server = Server::start(|request| match request.uri().path() {
        "/v1/views" => (200, Bytes::from(vec![b' '; 200_000])),
        "/v1/modules" => (200, Bytes::from_static(b"<html>hello</html>")),
        _ => (502, Bytes::from_static(b"bad gateway, says a proxy")),
    })
    .await;
    let client = client(&server.url);
    assert!(matches!(client.views().await, Err(Error::TooLarge { max: 100_000, .. })));
    let error = client.modules().await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }) && error.to_string().contains("<html>"), "{error}");
    let error = client.catalogue().await.unwrap_err();
    assert_eq!((error.status(), error.problem().unwrap().detail.as_str()), (Some(502), "bad gateway, says a proxy"));
}

#[tokio::test]
async fn a_node_that_does_not_answer_times_out() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let config = Config { timeout_ms: 50, retries_max: 0, ..Config::default() };
    let error = Client::new(&url, config).unwrap().status().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after_ms: 50, .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_the_node_closed_while_idle_is_replaced() {
    // Each connection serves one request and is closed without notice.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"views\":[]}").await;
        }
    });
    let client = client(&url);
    for _ in 0..5 {
        assert!(client.views().await.unwrap().is_empty());
    }
    task.abort();
}

#[tokio::test]
async fn services_modules_and_feasts_door_round_trip() {
    let service = FeatureService {
        name: "route_v1".into(),
        projections: vec![Projection {
            view: "airport_hourly".into(),
            alias: Some("origin".into()),
            features: vec!["mean_delay_1h".into()],
            join_key_map: vec![("iata".into(), "origin".into())],
        }],
    };
    let sent = serde_json::to_value(&service.projections).unwrap();
    let manifest =
        json!({"inputs": [], "params": [], "outputs": [{"name": "score", "value_type": "double"}], "lookups": []});
    let server = Server::start(move |request| {
        let path = request.uri().path_and_query().unwrap().as_str();
        match (request.method().as_str(), path) {
            ("PUT", "/v1/services/route_v1") => {
                assert_eq!(json_of(request.body()), json!({"projections": sent}));
                (200, body(json!({"position": "0000000000000001:3", "token": "t"})))
            }
            ("GET", "/v1/services/route_v1") => (200, body(json!({"projections": sent}))),
            ("PUT", "/v1/modules/delay%20risk?release=1.0.0&version=1.0.0") => {
                assert_eq!(&request.body()[..], b"\0asm");
                (
                    200,
                    body(json!({"digest": "ab", "manifest": manifest, "position": "0000000000000001:4", "token": "t"})),
                )
            }
            ("POST", "/get-online-features") => {
                assert_eq!(json_of(request.body())["entities"], json!({"iata": ["ATL"], "departure_hour": [17]}));
                (
                    200,
                    body(json!({"results": [{"values": ["ATL"], "statuses": ["PRESENT"],
                    "event_timestamps": ["1970-01-01T00:00:00Z"]}], "metadata": {"feature_names": ["iata"]}})),
                )
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
    let client = client(&server.url);
    client.put_service(&service.clone().into()).await.unwrap();
    assert_eq!(client.service("route_v1").await.unwrap(), service.into());
    let put = client.put_module("delay risk", "1.0.0", Bytes::from_static(b"\0asm")).await.unwrap();
    assert_eq!((put.digest.as_str(), put.manifest.outputs.len(), put.receipt.position.lsn), ("ab", 1, Lsn(4)));
    let read = Read::features(["airport_hourly:mean_delay_1h"]).entity("iata", ["ATL"]).param("departure_hour", [17]);
    let answer = client.get_online_features(&read).await.unwrap();
    assert_eq!(answer.column("iata").unwrap().values, [json!("ATL")]);
}

#[tokio::test]
async fn tails_are_requested_by_name_and_a_merge_is_not_retried() {
    let merges = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&merges);
    let tail = json!({"name": "3-7-9.tail", "incarnation": "0000000000000abc", "epoch": 3, "first": 7, "last": 9, "bytes": 120});
    let record = json!({"lsn": 7, "view": "trips", "key": {"driver_id": 5}, "deleted": false, "region": "eu",
        "hlc": u64::MAX, "written_at_ms": 12, "event_timestamp": "2026-01-01T00:00:00Z", "values": {"trips": 42}});
    let server = Server::start(move |request| {
        let path = request.uri().path_and_query().unwrap().as_str();
        match (request.method().as_str(), path) {
            ("GET", "/v1/tails") => (200, body(json!({ "tails": [tail] }))),
            ("GET", "/v1/tails/3-7-9.tail?from=7&limit=2") => {
                (200, body(json!({"tail": tail, "records": [record], "next": null})))
            }
            ("POST", "/v1/tails/3-7-9.tail/merge") => {
                heard.fetch_add(1, Ordering::SeqCst);
                (503, body(json!({"status": 503, "code": "leader_unavailable", "detail": "nobody leads"})))
            }
            ("DELETE", "/v1/tails/a%2Fb") => (404, body(json!({"status": 404, "code": "unknown_tail"}))),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let client = client(&server.url);
    assert_eq!(client.tails().await.unwrap()[0].last, 9);
    let page = client.tail("3-7-9.tail", 7, 2).await.unwrap();
    assert_eq!((page.records[0].hlc, &page.records[0].key["driver_id"], page.next), (u64::MAX, &json!(5), None));
    assert_eq!(client.merge_tail("3-7-9.tail").await.unwrap_err().code(), "leader_unavailable");
    assert_eq!(merges.load(Ordering::SeqCst), 1);
    assert!(client.drop_tail("a/b").await.unwrap_err().is_not_found());
}
