//! The project of the recorded exchanges, created through the doors.

use crate::{node::MemoryNode, stand::Door};
use serde_json::{Value, json};
use std::path::PathBuf;

pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/feast")
}

fn features(features: &[(&str, &str)]) -> Value {
    features.iter().map(|(name, value_type)| json!({"name": name, "value_type": value_type})).collect()
}

const STATS: [(&str, &str); 3] = [("conv_rate", "float"), ("acc_rate", "float"), ("avg_daily_trips", "int64")];

const TYPES: [(&str, &str); 11] = [
    ("t_int32", "int32"),
    ("t_int64", "int64"),
    ("t_float", "float"),
    ("t_double", "double"),
    ("t_string", "string"),
    ("t_bool", "bool"),
    ("t_bytes", "bytes"),
    ("t_ts", "unix_timestamp"),
    ("t_int64_list", "int64_list"),
    ("t_float_list", "float_list"),
    ("t_string_list", "string_list"),
];

pub async fn open() -> Door {
    let door = Door::open(MemoryNode::default()).await;
    let driver = json!({"name": "driver", "join_key": "driver_id", "value_type": "int64"});
    let customer = json!({"name": "customer", "join_key": "customer_id", "value_type": "string"});
    let pair: &[(&str, &str)] = &[("trips_together", "int64"), ("rating", "double")];
    for (view, entities, list, ttl) in [
        ("driver_hourly_stats", json!([driver]), &STATS[..], json!(null)),
        ("driver_hourly_stats_fresh", json!([driver]), &STATS[..], json!(null)),
        ("driver_ttl", json!([driver]), &STATS[..1], json!(3600)),
        ("driver_types", json!([driver]), &TYPES[..], json!(null)),
        ("driver_customer_stats", json!([driver, customer]), pair, json!(null)),
    ] {
        let body = json!({"entities": entities, "features": features(list), "ttl_seconds": ttl});
        let answer = door.put(&format!("/v1/views/{view}"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    for (view, file) in [
        ("driver_hourly_stats", "driver_hourly_stats"),
        ("driver_hourly_stats_fresh", "driver_hourly_stats"),
        ("driver_ttl", "driver_hourly_stats"),
        ("driver_types", "driver_types"),
        ("driver_customer_stats", "driver_customer_stats"),
    ] {
        fill(&door, view, file).await;
    }
    let input = json!([{"view": "driver_hourly_stats", "feature": "conv_rate", "value_type": "float"}]);
    let params = features(&[("val_to_add", "int64"), ("val_to_add_2", "int64")]);
    for (module, outputs) in [
        ("transformed_conv_rate", &[("conv_rate_plus_val1", "double"), ("conv_rate_plus_val2", "double")][..]),
        ("transformed_conv_rate_python", &[("conv_rate_py", "double")][..]),
    ] {
        let manifest = json!({"inputs": input, "params": params, "outputs": features(outputs), "lookups": []});
        let answer = door.put(&format!("/v1/modules/{module}?version=1.0.0"), &manifest).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    let stats = ["acc_rate", "avg_daily_trips", "conv_rate"];
    for (service, projections) in [
        (
            "driver_plain_v1",
            json!([{"view": "driver_hourly_stats", "features": stats},
            {"view": "driver_types", "features": ["t_string", "t_int64"]}]),
        ),
        (
            "driver_alias_v1",
            json!([{"view": "driver_hourly_stats", "alias": "dhs", "features": ["conv_rate", "acc_rate"]}]),
        ),
        (
            "driver_activity_v1",
            json!([{"view": "driver_hourly_stats", "features": ["conv_rate"]},
            {"view": "transformed_conv_rate", "features": ["conv_rate_plus_val1", "conv_rate_plus_val2"]}]),
        ),
    ] {
        let answer = door.put(&format!("/v1/services/{service}"), &json!({ "projections": projections })).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    let source = json!({"views": ["driver_hourly_stats_fresh"]});
    assert_eq!(door.put("/v1/push-sources/driver_stats_push_source", &source).await.status, 200);
    door
}

/// Writes the latest rows as Feast's store held them.
async fn fill(door: &Door, view: &str, file: &str) {
    let text = std::fs::read_to_string(fixtures().join(format!("data/{file}.json"))).unwrap();
    let data: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = data["join_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    let known = door.get(&format!("/v1/views/{view}")).await.json();
    let known: Vec<&str> =
        known["features"].as_array().unwrap().iter().map(|feature| feature["name"].as_str().unwrap()).collect();
    let mut rows = Vec::new();
    for row in data["rows"].as_array().unwrap() {
        let mut document = json!({"key": {}, "values": {}, "event_timestamp": row["event_timestamp"]});
        for (name, value) in row.as_object().unwrap() {
            if keys.contains(&name.as_str()) {
                document["key"][name] = value.clone();
            } else if known.contains(&name.as_str()) {
                document["values"][name] = plain(value);
            }
        }
        rows.push(document);
    }
    let answer = door.post(&format!("/v1/views/{view}/rows"), &json!({ "rows": rows })).await;
    assert_eq!(answer.status, 200, "{view}: {}", answer.json());
}

/// The data files mark bytes and what is not finite; the door accepts both as text.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(marked) => marked.get("base64").or_else(|| marked.get("float")).cloned().unwrap_or_default(),
        Value::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}
