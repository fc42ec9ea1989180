//! Bodies that are invalid, or meant to do harm. Each is answered, and the door continues to serve.

use crate::{feast_project, native::rejected, node::MemoryNode, stand::Door, tails};
use littoral_doors::Config;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn bodies_that_are_no_read_are_client_errors_on_both_doors() {
    let door = feast_project::open().await;
    let deep = format!(r#"{{"entities":{{"driver_id":[{}"#, "[".repeat(200_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"\xff\xfe".to_vec(),
        b"{\"entities\":{\"driver_id\":[\"\xff\"]},\"features\":[\"driver_ttl:conv_rate\"]}".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"{}".to_vec(),
        deep.into_bytes(),
        br#"{"entities":{"driver_id":[1]},"features":"driver_ttl:conv_rate"}"#.to_vec(),
        br#"{"entities":{"driver_id":[1]},"features":[1]}"#.to_vec(),
        br#"{"entities":{"driver_id":[1]},"features":["::"]}"#.to_vec(),
        br#"{"entities":{"driver_id":[1,2],"x":[1]},"features":["driver_ttl:conv_rate"]}"#.to_vec(),
        br#"{"entities":{"driver_id":[{}]},"features":["driver_ttl:conv_rate"]}"#.to_vec(),
        br#"{"entities":{"driver_id":[1]},"features":["driver_ttl:conv_rate"],"full_feature_names":3}"#.to_vec(),
        br#"{"entities":{"driver_id":[1]},"features":["driver_ttl:conv_rate"]} trailing"#.to_vec(),
    ];
    for body in bodies {
        for path in ["/get-online-features", "/v1/read", "/push", "/write-to-online-store", "/v1/rows"] {
            let answer = door.send("POST", path, &[], body.clone()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            assert!((400..500).contains(&answer.status), "{path} {shown}: {}", answer.status);
            assert!(!answer.json().is_null(), "{path} {shown}: an error is JSON");
        }
    }
    let read = json!({"features": ["driver_ttl:conv_rate"], "entities": {"driver_id": [1001]}});
    assert_eq!(door.post("/get-online-features", &read).await.status, 200);
}

#[tokio::test]
async fn reads_and_writes_are_bounded() {
    let config = Config {
        read_rows_max: 10,
        read_values_max: 25,
        write_rows_max: 10,
        read_bytes_max: 4_096,
        write_packed_bytes_max: 40_000,
        ..Config::default()
    };
    let door = Door::open_with(MemoryNode::default(), config).await;
    let features: Vec<_> = (0..500).map(|i| json!({"name": format!("f{i}"), "value_type": "double"})).collect();
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}], "features": features});
    assert_eq!(door.put("/v1/views/wide", &view).await.status, 413, "a definition is bounded like a read");
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}], "features": features[..50]});
    assert_eq!(door.put("/v1/views/wide", &view).await.status, 200);
    let read = |rows: usize, columns: usize| {
        let ids: Vec<usize> = (0..rows).collect();
        let features: Vec<String> = (0..columns).map(|i| format!("wide:f{i}")).collect();
        json!({"features": features, "entities": {"id": ids}})
    };
    for (rows, columns, status) in [(10, 1, 200), (11, 1, 413), (5, 4, 200), (5, 5, 413), (2_000, 1, 413)] {
        assert_eq!(door.post("/v1/read", &read(rows, columns)).await.status, status, "{rows} x {columns}");
        assert_eq!(door.post("/get-online-features", &read(rows, columns)).await.status, status);
    }
    let rows = |count: usize| json!({"rows": (0..count).map(|id| json!({"key": {"id": id}, "values": {}})).collect::<Vec<_>>()});
    for (count, status) in [(10, 200), (11, 413)] {
        assert_eq!(door.post("/v1/views/wide/rows", &rows(count)).await.status, status, "{count}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_413_on_every_route() {
    let config = Config { answer_bytes_max: 200, ..Config::default() };
    let node = MemoryNode { is_edge: true, tails: Some(Arc::new(tails::Kept::default())), ..MemoryNode::default() };
    let door = Door::open_with(node, config).await;
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}], "features": [{"name": "text", "value_type": "string"}]});
    assert_eq!(door.put("/v1/views/v", &view).await.status, 200);
    let row = json!({"key": {"id": 1}, "values": {"text": "x".repeat(300)}});
    assert_eq!(door.post("/v1/views/v/rows", &json!({"rows": [row]})).await.status, 200);
    for path in ["/v1/conflicts", "/v1/tails/3-7-9.tail", "/v1/views/v/rows"] {
        rejected(&door.get(path).await, 413, "answer_too_large", &["larger than 200 bytes", "smaller 'limit'"]);
    }
    let read = json!({"features": ["v:text"], "entities": {"id": [1]}});
    rejected(&door.post("/v1/read", &read).await, 413, "answer_too_large", &["larger than 200 bytes", "fewer rows"]);
}

#[tokio::test]
async fn shapes_that_a_client_makes_up_do_not_pile_up() {
    let door = feast_project::open().await;
    for at in 0..5_000 {
        let read =
            json!({"features": ["driver_ttl:conv_rate"], "entities": {"driver_id": [1001], format!("x{at}"): [0]}});
        let answer = door.post("/v1/read", &read).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_body_whose_values_would_take_much_more_than_itself_is_rejected_before_they_do() {
    let config = Config { bodies_bytes_max: 64 << 20, ..Config::default() };
    let door = Door::open_with(MemoryNode::default(), config).await;
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}], "features": [{"name": "f", "value_type": "int64_list"}]});
    assert_eq!(door.put("/v1/views/v", &view).await.status, 200);
    // Three bytes each, a hundred times as much in memory.
    let many = "{},".repeat(1 << 20);
    for body in [
        format!(r#"{{"deletes":[{many}{{}}]}}"#),
        format!(r#"{{"rows":[{{"values":{{"f":[{}1]}}}}]}}"#, "1,".repeat(1 << 20)),
    ] {
        let answer = door.send("POST", "/v1/views/v/rows", &[], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    }
    let read = format!(r#"{{"features":["v:f"],"entities":{{"id":[{}1]}}}}"#, "1,".repeat(1 << 20));
    assert_eq!(door.send("POST", "/v1/read", &[], read).await.status, 413);
    // As large, but of few values: it is accepted.
    let text = format!(r#"{{"rows":[{{"key":{{"id":1}},"values":{{"f":[1]}}}}],"deletes":[]}}{}"#, " ".repeat(4 << 20));
    let answer = door.send("POST", "/v1/views/v/rows", &[], text).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_asked_for_in_parts() {
    let door = Door::open_with(MemoryNode::default(), Config { module_bytes_max: 1_000, ..Config::default() }).await;
    let answer = door.send("PUT", "/v1/modules/m?version=1", &[], "x".repeat(1_001)).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "component_too_large"));
    assert!(answer.json()["detail"].as_str().unwrap().starts_with("the component is larger than 1000 bytes"));
}
