//! The native API: definitions, rows, reads, pages, errors.

use crate::{
    feast_project,
    node::MemoryNode,
    stand::{Answer, Door},
};
use littoral_doors::{Config, Metrics, Process};
use littoral_model::{
    status::Shortfalls,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::{RowBatch, RowWrite},
};
use serde_json::{Value, json};

fn trips() -> Value {
    json!({"entities": [{"name": "driver", "join_key": "driver_id", "value_type": "int64"}, {"name": "day", "value_type": "string"}],
        "features": [{"name": "trips", "value_type": "int64"}, {"name": "notes", "value_type": "string_list"}], "ttl_ms": 60000})
}

async fn with_trips() -> Door {
    let door = Door::open(MemoryNode::default()).await;
    assert_eq!(door.put("/v1/views/trips", &trips()).await.status, 200);
    door
}

pub fn rejected(answer: &Answer, status: u16, code: &str, words: &[&str]) {
    let body = answer.json();
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(body["status"], status);
    let detail = body["detail"].as_str().unwrap();
    words.iter().for_each(|word| assert!(detail.contains(word), "'{word}' in: {detail}"));
}

#[tokio::test]
async fn a_view_is_made_shown_evolved_and_dropped() {
    let door = with_trips().await;
    let view = door.get("/v1/views/trips").await.json();
    assert_eq!(view["entities"][0], json!({"name": "day", "join_key": "day", "value_type": "string"}));
    assert_eq!(door.get("/v1/views").await.json(), json!({ "views": [view] }));
    assert_eq!(door.get("/v1/catalogue").await.json()["views"], json!([view]));
    let vanished = json!({"entities": trips()["entities"], "features": [{"name": "trips", "value_type": "int64"}]});
    rejected(&door.put("/v1/views/trips", &vanished).await, 422, "invalid", &["feature 'notes' would be removed"]);
    rejected(&door.put("/v1/views/trips", &json!({"featurez": []})).await, 400, "invalid_body", &["featurez"]);
    assert_eq!(door.send("DELETE", "/v1/views/trips", &[], "").await.status, 200);
    rejected(&door.get("/v1/views/trips").await, 404, "unknown_view", &["'trips'"]);
    rejected(&door.send("DELETE", "/v1/views/trips", &[], "").await, 404, "unknown_view", &[]);
}

#[tokio::test]
async fn rows_are_written_read_paged_and_deleted() {
    let door = with_trips().await;
    let row = |driver: i64, trips: Value, time: Value| json!({"key": {"driver_id": driver, "day": "mon"}, "values": {"trips": trips, "notes": ["a\"b"]}, "event_timestamp": time});
    let rows = json!({"rows": [row(1, json!(7), json!(null)), row(2, json!(null), json!("2001-01-01T00:00:00Z")), row(3, json!(9), json!(1e9))]});
    let written = door.post("/v1/rows", &json!({"writes": [{"view": "trips", "rows": rows["rows"]}]})).await;
    let receipt = written.json();
    assert_eq!(
        (&receipt["rows"], &receipt["duplicate"], &receipt["concern"]),
        (&json!(3), &json!(false), &json!("local"))
    );
    assert_eq!(written.header("littoral-token"), receipt["token"]);
    let read = json!({"features": ["trips:trips", "trips:notes"], "entities": {"driver_id": [1, 2, 4], "day": ["mon", "mon", "mon"]}});
    let answer = door.post("/v1/read", &read).await.json();
    let column = &answer["columns"][2];
    assert_eq!(column["name"], "trips");
    assert_eq!(column["values"], json!([7, null, null]));
    assert_eq!(column["statuses"], json!(["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"]));
    assert_eq!(column["event_timestamps"][1], "2001-01-01T00:00:00Z");
    assert_eq!(column["event_timestamps"][2], json!(null));
    assert!(column["ages_ms"][0].as_i64().unwrap() < 60_000 && column["ages_ms"][1].as_i64().unwrap() > 60_000);
    assert_eq!(answer["columns"][3]["values"][0], json!(["a\"b"]));
    assert_eq!(answer["freshness"]["token"], receipt["token"]);
    let mut seen = Vec::new();
    let mut path = "/v1/views/trips/rows?limit=2".to_owned();
    loop {
        let page = door.get(&path).await.json();
        seen.extend(page["rows"].as_array().unwrap().clone());
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/v1/views/trips/rows?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0]["key"], json!({"day": "mon", "driver_id": 1}));
    assert_eq!(seen[2]["event_timestamp"], "2001-09-09T01:46:40Z");
    let delete = json!({"deletes": [{"key": {"driver_id": 1, "day": "mon"}}]});
    assert_eq!(door.post("/v1/views/trips/rows", &delete).await.json()["rows"], 1);
    let answer = door.post("/v1/read", &read).await.json();
    assert_eq!(answer["columns"][2]["statuses"][0], "NOT_FOUND");
}

#[tokio::test]
async fn a_row_that_cannot_be_taken_is_named_and_nothing_is_written() {
    let door = with_trips().await;
    let good = json!({"key": {"driver_id": 1, "day": "mon"}, "values": {"trips": 1}});
    for (bad, code, words) in [
        (json!({"key": {"driver_id": "x", "day": "mon"}}), "invalid_row", ["row 1", "driver_id", "'x'"]),
        (json!({"key": {"driver_id": 1}}), "invalid_row", ["row 1", "'day'", "missing"]),
        (json!({"key": {"driver_id": 1, "day": "mon", "hour": 1}}), "invalid_row", ["row 1", "'hour'", "join key"]),
        (
            json!({"key": {"driver_id": 1, "day": "mon"}, "values": {"trip": 1}}),
            "invalid_row",
            ["row 1", "'trip'", "feature"],
        ),
        (
            json!({"key": {"driver_id": 1, "day": "mon"}, "values": {"notes": ["a", null]}}),
            "invalid_row",
            ["row 1", "'notes'", "element 1"],
        ),
        (
            json!({"key": {"driver_id": 1, "day": "mon"}, "event_timestamp": "soon"}),
            "invalid_row",
            ["row 1", "event_timestamp", "RFC 3339"],
        ),
        (
            json!({"key": {"driver_id": 1, "day": "mon"}, "event_timestamp": "NaT"}),
            "invalid_row",
            ["row 1", "event_timestamp", "the time is missing"],
        ),
        (
            json!({"key": {"driver_id": 1, "day": "mon"}, "event_timestamp": i64::MIN}),
            "invalid_row",
            ["row 1", "event_timestamp", "the time is missing"],
        ),
        (json!({"key": {"driver_id": 1, "day": "x".repeat(5_000)}}), "invalid_row", ["row 1", "entity key", "4096"]),
    ] {
        rejected(&door.post("/v1/views/trips/rows", &json!({"rows": [good, bad]})).await, 422, code, &words);
    }
    let delete = json!({"rows": [good], "deletes": [{"key": {"driver_id": "x", "day": "mon"}}]});
    rejected(&door.post("/v1/views/trips/rows", &delete).await, 422, "invalid_row", &["delete 0", "'driver_id'"]);
    rejected(&door.post("/v1/views/trips/rows", &json!({"rows": []})).await, 400, "no_rows", &[]);
    rejected(&door.post("/v1/views/nope/rows", &json!({"rows": [good]})).await, 404, "unknown_view", &["'nope'"]);
    rejected(
        &door.post("/v1/rows", &json!({"writes": [{"rows": []}]})).await,
        400,
        "invalid_body",
        &["writes[0]", "'view'"],
    );
    let long = [("idempotency-key", "k".repeat(257))];
    let long: Vec<(&str, &str)> = long.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = json!({"rows": [good]}).to_string();
    rejected(&door.send("POST", "/v1/views/trips/rows", &long, body).await, 400, "invalid_idempotency_key", &["256"]);
    assert_eq!(door.get("/v1/views/trips/rows").await.json()["rows"], json!([]));
}

#[tokio::test]
async fn a_row_that_the_leader_rejects_is_named_by_its_place_in_the_request() {
    let of = |driver: i64| json!({"key": {"driver_id": driver, "day": "mon"}});
    let writes = json!({"writes": [
        {"view": "trips", "rows": [of(1), of(2)], "deletes": [of(3), of(4)]},
        {"view": "trips", "rows": [of(5)], "deletes": [of(6)]},
    ]});
    for (future, write, row, delete, place) in [
        (1, 0, Some(1), None, "writes[0], row 1 of view 'trips' (id=7): event timestamp"),
        (3, 0, None, Some(1), "writes[0], delete 1 of view 'trips' (id=7): event timestamp"),
        (4, 1, Some(0), None, "writes[1], row 0 of view 'trips' (id=7): event timestamp"),
        (5, 1, None, Some(0), "writes[1], delete 0 of view 'trips' (id=7): event timestamp"),
    ] {
        let door = Door::open(MemoryNode { future_row: Some(future), ..MemoryNode::default() }).await;
        assert_eq!(door.put("/v1/views/trips", &trips()).await.status, 200);
        let answer = door.post("/v1/rows", &writes).await;
        rejected(&answer, 422, "future_event", &[place]);
        let problem = answer.json();
        assert!(problem["detail"].as_str().unwrap().starts_with(place), "{problem}");
        assert_eq!(
            (&problem["write"], &problem["row"], &problem["delete"]),
            (&json!(write), &json!(row), &json!(delete))
        );
    }
    let door = Door::open(MemoryNode { future_row: Some(1), ..MemoryNode::default() }).await;
    assert_eq!(door.put("/v1/views/trips", &trips()).await.status, 200);
    let answer = door.post("/v1/views/trips/rows", &json!({"rows": [of(1)], "deletes": [of(2)]})).await;
    rejected(&answer, 422, "future_event", &["delete 0 of view 'trips'"]);
    assert_eq!(answer.json()["write"], json!(null), "the request has one write");
}

#[tokio::test]
async fn rows_come_as_an_arrow_stream_too() {
    let door = with_trips().await;
    let key = |name: &str, value_type| JoinKey { name: name.into(), entity: name.into(), value_type };
    let view = FeatureView {
        id: ViewId(1),
        name: "trips".into(),
        join_keys: vec![key("day", ValueType::String), key("driver_id", ValueType::Int64)],
        features: vec![
            Feature { name: "trips".into(), value_type: ValueType::Int64 },
            Feature { name: "notes".into(), value_type: ValueType::StringList },
        ],
        ttl_ms: None,
        merge: Default::default(),
    };
    let mut rows = RowBatch::default();
    let mut row_key = Vec::new();
    littoral_model::entity_key::push_bytes(&mut row_key, b"tue");
    littoral_model::entity_key::push_i64(&mut row_key, 5);
    let mut body = littoral_model::row_body::BodyBuilder::new(2);
    body.push_i64(42);
    let body = body.finish().unwrap();
    let event_time = "2026-01-01T00:00:00Z".parse().unwrap();
    rows.push(RowWrite { view: view.id, event_time, key: &row_key, body: Some(&body) });
    let stream = littoral_columnar::encode(&rows, &view).unwrap();
    let headers = [("content-type", "application/vnd.apache.arrow.stream")];
    let answer = door.send("POST", "/v1/views/trips/rows", &headers, stream.clone()).await;
    assert_eq!(answer.json()["rows"], 1, "{}", answer.json());
    let held = door.get("/v1/views/trips/rows").await.json();
    assert_eq!(held["rows"][0]["values"], json!({"trips": 42, "notes": null}));
    let cut = stream[..stream.len() / 2].to_vec();
    rejected(&door.send("POST", "/v1/views/trips/rows", &headers, cut).await, 422, "invalid_rows", &[]);
}

#[tokio::test]
async fn services_modules_and_push_sources_are_kept_by_name() {
    let door = feast_project::open().await;
    assert_eq!(door.get("/v1/services").await.json()["services"].as_array().unwrap().len(), 3);
    assert_eq!(door.get("/v1/services/driver_alias_v1").await.json()["projections"][0]["alias"], "dhs");
    assert_eq!(
        door.get("/v1/push-sources").await.json()["push_sources"][0]["views"],
        json!(["driver_hourly_stats_fresh"])
    );
    let module = door.get("/v1/modules/transformed_conv_rate").await.json();
    assert_eq!((module["version"].as_str(), module["digest"].as_str().unwrap().len()), (Some("1.0.0"), 64));
    rejected(&door.put("/v1/modules/m", &json!({})).await, 400, "invalid_version", &["?release="]);
    rejected(
        &door.put("/v1/services/s", &json!({"projections": [{"view": "nope", "features": ["x"]}]})).await,
        422,
        "invalid",
        &["nope"],
    );
    for path in [
        "/v1/services/driver_alias_v1",
        "/v1/push-sources/driver_stats_push_source",
        "/v1/modules/transformed_conv_rate_python",
    ] {
        assert_eq!(door.send("DELETE", path, &[], "").await.status, 200, "{path}");
        assert_eq!(door.get(path).await.status, 404, "{path}");
    }
    let alias = json!({"feature_service": "driver_alias_v1", "entities": {"driver_id": [1001]}});
    rejected(&door.post("/v1/read", &alias).await, 404, "unknown_service", &["driver_alias_v1"]);
}

#[tokio::test]
async fn the_node_says_how_it_is() {
    let process = Process { metrics: Some(Metrics::new(|| "littoral_up 1\n".into())), ..Process::default() };
    let node = MemoryNode { ready: false, ..MemoryNode::default() };
    let door = Door::open_in(node, Config::default(), process).await;
    rejected(&door.get("/v1/ready").await, 503, "not_ready", &["still loading"]);
    rejected(&door.get("/v1/fresh").await, 503, "not_ready", &["still loading"]);
    assert_eq!(door.get("/metrics").await.body, "littoral_up 1\n");
    assert_eq!(door.get("/v1/status").await.json()["name"], "memory");
    assert_eq!(door.get("/v1/openapi.json").await.json()["openapi"], "3.1.0");
    let health = door.get("/health").await;
    assert_eq!((health.status, health.body.len()), (200, 0));
    rejected(&door.get("/v1/nope").await, 404, "unknown_path", &["openapi"]);
    let wrong = door.put("/v1/read", &json!({})).await;
    assert_eq!(wrong.header("allow"), "POST");
    rejected(&wrong, 405, "wrong_method", &["POST"]);
}

#[tokio::test]
async fn what_a_node_falls_short_of_is_said_beside_its_readiness() {
    let shortfalls =
        Shortfalls { not_fresh: Some("9 s behind".to_owned()), not_writable: Some("disk full".to_owned()) };
    let door = Door::open_with(MemoryNode { shortfalls, ..MemoryNode::default() }, Config::default()).await;
    let ready = door.get("/v1/ready").await;
    let json = ready.json();
    assert_eq!(
        (ready.status, &json["ready"], &json["fresh"], &json["writable"]),
        (200, &json!(true), &json!(false), &json!(false))
    );
    assert_eq!((&json["not_fresh_reason"], &json["not_writable_reason"]), (&json!("9 s behind"), &json!("disk full")));
    rejected(&door.get("/v1/fresh").await, 503, "not_fresh", &["9 s behind"]);
    let status = door.get("/v1/status").await.json();
    assert_eq!((&status["fresh"], &status["not_writable_reason"]), (&json!(false), &json!("disk full")), "{status}");

    let well = Door::open_with(MemoryNode::default(), Config::default()).await;
    assert_eq!(
        (well.get("/v1/fresh").await.status, well.get("/v1/ready").await.json()["writable"] == true),
        (200, true)
    );
}

#[tokio::test]
async fn a_door_whose_process_is_about_to_stop_is_not_ready_and_serves_on() {
    let process = Process::default();
    let draining = process.draining.clone();
    let door = Door::open_in(MemoryNode::default(), Config::default(), process).await;
    let before = door.get("/v1/catalogue").await;
    assert_eq!((before.header("connection"), before.header("littoral-draining")), ("", ""));
    draining.begin();
    rejected(&door.get("/v1/ready").await, 503, "not_ready", &["draining"]);
    for _ in 0..3 {
        let answer = door.get("/v1/catalogue").await;
        assert_eq!(
            (answer.status, answer.header("connection"), answer.header("littoral-draining")),
            (200, "close", "1")
        );
    }
    let status = door.get("/v1/status").await.json();
    assert_eq!((&status["ready"], &status["draining"]), (&json!(false), &json!(true)), "{status}");
    assert_eq!(door.get("/v1/fresh").await.status, 200, "its data is as fresh as before");

    // Over HTTP/2 the first request is answered, and GOAWAY ends the connection.
    let stream = tokio::net::TcpStream::connect(door.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/v1/catalogue", door.address));
    let answer =
        sender.send_request(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("connection")), (200, false));
    assert_eq!(answer.headers()["littoral-draining"], "1");
    drop(answer);
    tokio::time::timeout(std::time::Duration::from_secs(20), connection).await.unwrap().unwrap().unwrap();
}
