//! Rows that the node neither holds nor can fetch are not reported as absent.

use crate::{
    node::MemoryNode,
    stand::{Answer, Door},
};
use serde_json::{Value, json};

/// A view of which the row 1 is held, and a module that adds a parameter to its feature.
async fn door() -> Door {
    let door = Door::open(MemoryNode { incomplete: true, ..MemoryNode::default() }).await;
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}],
        "features": [{"name": "x", "value_type": "double"}]});
    assert_eq!(door.put("/v1/views/v", &view).await.status, 200);
    let rows = json!({"rows": [{"key": {"id": 1}, "values": {"x": 0.5}}]});
    assert_eq!(door.post("/v1/views/v/rows", &rows).await.status, 200);
    let manifest = json!({"inputs": [{"view": "v", "feature": "x", "value_type": "double", "join_key_map": []}],
        "params": [{"name": "add", "value_type": "int64"}], "outputs": [{"name": "sum", "value_type": "double"}],
        "lookups": []});
    assert_eq!(door.put("/v1/modules/m?version=1", &manifest).await.status, 200);
    door
}

fn unavailable(answer: &Answer, words: &str) {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!((answer.status, answer.header("littoral-error")), (503, "leader_unavailable"), "{body}");
    assert!(body.contains(words), "{body}");
}

fn column(answer: &Answer, at: usize) -> [Value; 4] {
    let column = answer.json()["columns"][at].clone();
    ["values", "statuses", "event_timestamps", "ages_ms"].map(|part| column[part].clone())
}

#[tokio::test]
async fn the_native_door_has_a_status_for_them() {
    let read = json!({"features": ["v:x"], "entities": {"id": [1, 2]}});
    let answer = door().await.post("/v1/read", &read).await;
    let [values, statuses, timestamps, ages] = column(&answer, 1);
    assert_eq!((answer.status, values, statuses), (200, json!([0.5, null]), json!(["PRESENT", "UNKNOWN"])));
    assert_eq!((timestamps[1].clone(), ages[1].clone()), (Value::Null, Value::Null));
}

#[tokio::test]
async fn feasts_door_fails_with_their_view_and_number() {
    let door = door().await;
    let read = |ids: Value| json!({"features": ["v:x"], "entities": {"id": ids}});
    assert_eq!(door.post("/get-online-features", &read(json!([1]))).await.status, 200);
    let answer = door.post("/get-online-features", &read(json!([1, 2, 3]))).await;
    unavailable(&answer, "whether 2 of the 3 rows of view 'v' exist is unknown: this edge does not hold them");
    unavailable(&answer, "retry later, use another edge, or hold the whole view here");
    assert!(
        !String::from_utf8_lossy(&answer.body).contains("read from the replica"),
        "the read was one of the replica"
    );
    let stale = [("littoral-on-unmet", "serve_stale")];
    let answer = door.send("POST", "/get-online-features", &stale, read(json!([2])).to_string()).await;
    unavailable(&answer, "'v'");
}

#[tokio::test]
async fn what_a_module_makes_of_them_is_unknown_too() {
    let door = door().await;
    let read = json!({"features": ["m:sum"], "entities": {"id": [1, 2], "add": [1, 1]}});
    let answer = door.post("/v1/read", &read).await;
    let columns = answer.json()["columns"].as_array().unwrap().clone();
    let made = columns.last().unwrap();
    assert_eq!((&made["values"], &made["statuses"]), (&json!([1.5, null]), &json!(["PRESENT", "UNKNOWN"])));
    unavailable(&door.post("/get-online-features", &read).await, "whether rows that module 'm' needs exist is unknown");
}
