//! What Feast's recordings do not show: modules' faults, key maps, the freshness contract, late rows.

use crate::{
    feast_project,
    node::MemoryNode,
    stand::{Answer, Door},
};
use littoral_model::{
    catalogue::CatalogueChange,
    freshness::Degraded,
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde_json::{Value, json};
use std::sync::Mutex;

fn column(answer: &Answer, name: &str) -> Value {
    let body = answer.json();
    let names = body["metadata"]["feature_names"].as_array().unwrap().clone();
    let at = names.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    body["results"][at].clone()
}

#[tokio::test]
async fn columns_are_in_the_requests_order() {
    let door = feast_project::open().await;
    let read = json!({"features": ["driver_hourly_stats:conv_rate", "driver_hourly_stats:acc_rate"],
        "entities": {"nobody": [0, 0], "driver_id": ["1001", 1001.0]}});
    let answer = door.post("/get-online-features", &read).await;
    assert_eq!(answer.json()["metadata"]["feature_names"], json!(["driver_id", "conv_rate", "acc_rate"]));
    assert_eq!(column(&answer, "driver_id")["values"], json!([1001, 1001]));
}

#[tokio::test]
async fn every_answer_states_its_freshness_and_a_demand_is_heard() {
    let node = MemoryNode { degraded: Some(Degraded::LeaderLost), ..MemoryNode::default() };
    let door = Door::open(node).await;
    let view = json!({"entities": [{"name": "id", "value_type": "string"}], "features": [{"name": "x", "value_type": "double"}]});
    let token = door.put("/v1/views/v", &view).await.json()["token"].as_str().unwrap().to_owned();
    let read = json!({"features": ["v:x"], "entities": {"id": ["a"]}}).to_string();
    let fresh = door.send("POST", "/get-online-features", &[("littoral-at-least", &token)], read.clone()).await;
    assert_eq!(fresh.status, 200);
    assert_eq!(fresh.header("littoral-token"), token);
    assert_eq!(fresh.header("littoral-position"), token.split_once('@').unwrap().1);
    let rest = ["littoral-staleness-ms", "littoral-source", "littoral-degraded"].map(|name| fresh.header(name));
    assert_eq!(rest, ["7", "replica", "leader_lost"]);
    let ahead = token.replace(":1", ":99");
    let unmet = door.send("POST", "/get-online-features", &[("littoral-at-least", &ahead)], read.clone()).await;
    assert_eq!(unmet.status, 412, "no status that Feast's SDK repeats");
    let bad = door.send("POST", "/v1/read", &[("littoral-wait-ms", "soon")], read).await;
    assert_eq!((bad.status, bad.code().as_str()), (400, "invalid_demand"));
}

#[tokio::test]
async fn a_view_that_arrives_with_the_first_data_is_read() {
    let view = FeatureView {
        id: ViewId(0),
        name: "v".into(),
        join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
        features: vec![Feature { name: "x".into(), value_type: ValueType::Double }],
        ttl_ms: None,
        merge: MergePolicy::LatestEvent,
    };
    let arriving = Mutex::new(vec![CatalogueChange::PutView(view)]);
    let door = Door::open(MemoryNode { arriving, ..MemoryNode::default() }).await;
    let read = json!({"features": ["v:x"], "entities": {"id": [1]}});
    let answer = door.post("/v1/read", &read).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

#[tokio::test]
async fn a_quorum_says_which_regions_answered_and_which_did_not() {
    let door = Door::open(MemoryNode::default()).await;
    let view = json!({"entities": [{"name": "id", "value_type": "string"}], "features": [{"name": "x", "value_type": "double"}]});
    door.put("/v1/views/v", &view).await;
    let read = json!({"features": ["v:x"], "entities": {"id": ["a"]}});
    let quorum = ("littoral-consistency", "quorum");
    let feast = door.send("POST", "/get-online-features", &[quorum], read.to_string()).await;
    assert_eq!((feast.status, feast.header("littoral-source")), (200, "quorum"));
    assert_eq!(feast.header("littoral-regions"), "eu,us");
    let mut native = read.clone();
    native["demand"] = json!({"consistency": "quorum"});
    let freshness = door.post("/v1/read", &native).await.json()["freshness"].clone();
    assert_eq!((&freshness["source"], &freshness["regions"]), (&json!("quorum"), &json!(["eu", "us"])));
    let plain = door.post("/v1/read", &read).await.json()["freshness"].clone();
    assert!(plain.get("regions").is_none(), "{plain}");
    let unmet = door.send("POST", "/v1/read", &[quorum, ("littoral-on-unmet", "fail")], read.to_string()).await;
    assert_eq!((unmet.status, unmet.code().as_str()), (503, "quorum_not_reached"));
    let said = unmet.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("2 of 2 regions") && said.contains("only 'eu' answered; 'us': it did not"), "{said}");
}

#[tokio::test]
async fn a_module_sees_what_is_missing_and_states_its_release() {
    let door = feast_project::open().await;
    let read = json!({"features": ["transformed_conv_rate:conv_rate_plus_val1", "driver_hourly_stats:conv_rate"],
        "entities": {"driver_id": [1001, 9999], "val_to_add": [1, 1], "val_to_add_2": [null, 2]}});
    let answer = door.post("/get-online-features", &read).await;
    let made = column(&answer, "conv_rate_plus_val1");
    assert_eq!(made["values"], json!([1.28125, null]));
    assert_eq!(made["statuses"], json!(["PRESENT", "NULL_VALUE"]));
    let digest = door.get("/v1/modules/transformed_conv_rate").await.json()["digest"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("littoral-module-digest"), format!("transformed_conv_rate={digest}"));
    let native = door.post("/v1/read", &read).await.json();
    assert_eq!(native["modules"], json!({ "transformed_conv_rate": digest }));
}

#[tokio::test]
async fn a_modules_fault_is_told_by_its_code_and_not_retried_by_feasts_sdk() {
    let door = feast_project::open().await;
    let manifest =
        json!({"inputs": [], "params": [], "outputs": [{"name": "out", "value_type": "double"}], "lookups": []});
    for (module, status, code) in [
        ("trapping", 500, "module_trap"),
        ("short", 500, "module_wrong_shape"),
        ("busy", 503, "module_busy"),
        ("panicking", 500, "internal"),
    ] {
        assert_eq!(door.put(&format!("/v1/modules/{module}?version=1"), &manifest).await.status, 200);
        let read = json!({"features": [format!("{module}:out")], "entities": {"driver_id": [1]}});
        let native = door.post("/v1/read", &read).await;
        assert_eq!((native.status, native.code().as_str()), (status, code), "{}", native.json());
        let feast = door.post("/get-online-features", &read).await.status;
        let once = if code.starts_with("module_") && status == 500 { 422 } else { status };
        assert_eq!(feast, once, "{module}");
    }
    assert_eq!(door.get("/health").await.status, 200, "the door goes on");
}

#[tokio::test]
async fn one_view_serves_two_roles() {
    let door = Door::open(MemoryNode { slow: true, ..MemoryNode::default() }).await;
    let view = json!({"entities": [{"name": "airport", "value_type": "string"}], "features": [{"name": "delay", "value_type": "double"}]});
    door.put("/v1/views/airports", &view).await;
    let rows = json!({"rows": [{"key": {"airport": "JFK"}, "values": {"delay": 1.0}}, {"key": {"airport": "LHR"}, "values": {"delay": 2.0}}]});
    assert_eq!(door.post("/v1/views/airports/rows", &rows).await.json()["rows"], 2);
    let part = |role: &str| json!({"view": "airports", "alias": role, "features": ["delay"], "join_key_map": [["airport", role]]});
    door.put("/v1/services/route", &json!({"projections": [part("origin"), part("destination")]})).await;
    let read = json!({"feature_service": "route", "full_feature_names": true, "entities": {"origin": ["JFK"], "destination": ["LHR"]}});
    let answer = door.post("/get-online-features", &read).await;
    assert_eq!(column(&answer, "origin__delay")["values"], json!([1.0]), "{}", answer.json());
    assert_eq!(column(&answer, "destination__delay")["values"], json!([2.0]));
    assert_eq!(column(&answer, "destination")["values"], json!(["LHR"]));
    let input = |role: &str| json!({"view": "airports", "feature": "delay", "value_type": "double", "join_key_map": [["airport", role]]});
    let manifest = json!({"inputs": [input("to"), input("from")], "params": [{"name": "plus", "value_type": "int64"}],
        "outputs": [{"name": "out", "value_type": "double"}], "lookups": []});
    assert_eq!(door.put("/v1/modules/route_delay?version=1", &manifest).await.status, 200);
    let read = json!({"features": ["route_delay:out"], "entities": {"from": ["JFK"], "to": ["LHR"]}, "params": {"plus": [10]}});
    let answer = door.post("/v1/read", &read).await.json();
    assert_eq!(answer["columns"][2]["values"], json!([12.0]), "{answer}");
}

#[tokio::test]
async fn a_late_event_does_not_overwrite_and_bare_nan_is_null() {
    let door = feast_project::open().await;
    let push = |trips: i64, rate: &str, time: &str| {
        format!(
            r#"{{"push_source_name":"driver_stats_push_source","df":{{"driver_id":[1],"conv_rate":[{rate}],"acc_rate":[null],
            "avg_daily_trips":[{trips}],"event_timestamp":["{time}"]}}}}"#
        )
    };
    for body in [push(2, "NaN", "2026-02-02T00:00:00"), push(1, "0", "2026-02-01T00:00:00")] {
        assert_eq!(door.send("POST", "/push", &[], body).await.status, 200);
    }
    let read = json!({"features": ["driver_hourly_stats_fresh:avg_daily_trips", "driver_hourly_stats_fresh:conv_rate",
        "driver_hourly_stats_fresh:acc_rate"], "entities": {"driver_id": [1]}});
    let answer = door.post("/get-online-features", &read).await;
    assert_eq!(column(&answer, "avg_daily_trips")["values"], json!([2]));
    assert_eq!(column(&answer, "conv_rate")["values"], json!([null]));
    assert_eq!(column(&answer, "conv_rate")["statuses"], json!(["NULL_VALUE"]));
    assert_eq!(column(&answer, "acc_rate")["statuses"], json!(["NULL_VALUE"]));
}

/// Two views with a join key each.
async fn drivers_and_shops() -> Door {
    let door = Door::open(MemoryNode::default()).await;
    for (view, key, value_type, feature) in [("driver", "driver_id", "int64", "v"), ("shop", "shop_id", "int32", "w")] {
        let entities = json!([{"name": key, "value_type": value_type}]);
        let features = json!([{"name": feature, "value_type": "double"}]);
        door.put(&format!("/v1/views/{view}"), &json!({"entities": entities, "features": features})).await;
    }
    let rows = json!({"rows": [{"key": {"driver_id": 1}, "values": {"v": 5.0}}]});
    assert_eq!(door.post("/v1/views/driver/rows", &rows).await.status, 200);
    door
}

#[tokio::test]
async fn a_column_that_no_feature_needs_may_be_missing() {
    let door = drivers_and_shops().await;
    for missing in ["null", "NaN"] {
        let read = format!(
            r#"{{"features": ["driver:v"], "entities": {{"driver_id": [1, 1], "shop_id": [{missing}, "7"]}}}}"#
        );
        for path in ["/get-online-features", "/v1/read"] {
            assert_eq!(door.send("POST", path, &[], read.clone()).await.status, 200, "{path} {missing}");
        }
        let answer = door.send("POST", "/get-online-features", &[], read).await;
        assert_eq!(column(&answer, "v")["values"], json!([5.0, 5.0]));
        assert_eq!(column(&answer, "shop_id")["values"], json!([null, 7]));
        assert_eq!(column(&answer, "shop_id")["statuses"], json!(["NULL_VALUE", "PRESENT"]));
    }
    let needed = json!({"features": ["shop:w"], "entities": {"shop_id": [null]}});
    let answer = door.post("/get-online-features", &needed).await;
    assert_eq!((answer.status, answer.header("littoral-error")), (422, "invalid_entity"));
}

#[tokio::test]
async fn a_view_of_which_no_join_key_is_given_is_the_callers_mistake() {
    let door = drivers_and_shops().await;
    for (features, entities, lacks) in [
        (json!(["driver:v"]), json!({"shop_id": [1]}), "['driver_id'], which feature view 'driver' needs"),
        (json!(["driver:v", "shop:w"]), json!({"driver_id": [1]}), "['shop_id'], which feature view 'shop' needs"),
        (json!(["driver:v"]), json!({"driver": [1]}), "['driver_id']"),
    ] {
        let read = json!({"features": features, "entities": entities});
        for path in ["/get-online-features", "/v1/read"] {
            let answer = door.post(path, &read).await;
            assert_eq!((answer.status, answer.header("littoral-error")), (400, "missing_join_key"), "{path} {read}");
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(said.contains("Missing join key values for keys: ") && said.contains(lacks), "{said}");
        }
    }
}

#[tokio::test]
async fn pythons_nan_is_null_at_every_json_door_and_numbers_without_a_double_are_rejected() {
    let door = drivers_and_shops().await;
    let native = |value: &str| format!(r#"{{"rows": [{{"key": {{"driver_id": 2}}, "values": {{"v": {value}}}}}]}}"#);
    let many = |value: &str| {
        format!(
            r#"{{"writes": [{{"view": "driver", "rows": [{{"key": {{"driver_id": 2}}, "values": {{"v": {value}}}}}]}}]}}"#
        )
    };
    let feast = |value: &str| {
        format!(
            r#"{{"feature_view_name": "driver", "df": {{"driver_id": [2], "v": [{value}], "event_timestamp": [1.5]}}}}"#
        )
    };
    let read = json!({"features": ["driver:v"], "entities": {"driver_id": [2]}});
    type Body<'a> = &'a dyn Fn(&str) -> String;
    let doors: [(&str, Body<'_>); 3] =
        [("/v1/views/driver/rows", &native), ("/v1/rows", &many), ("/write-to-online-store", &feast)];
    for (path, body) in doors {
        for (value, expected) in [("1.5", json!([1.5])), ("NaN", json!([null])), ("\"Infinity\"", json!(["Infinity"]))]
        {
            assert_eq!(door.send("POST", path, &[], body(value)).await.status, 200, "{path} {value}");
            if path != "/write-to-online-store" {
                let answer = door.post("/get-online-features", &read).await;
                assert_eq!(column(&answer, "v")["values"], expected, "{path} {value}");
            }
        }
        for value in ["\"1e400\"", "1e400", "\"-1e400\"", "9007199254740993", "\"x\"", "true1", "[1.5]", "{}"] {
            let status = door.send("POST", path, &[], body(value)).await.status;
            assert!(matches!(status, 400 | 422), "{path} {value}: {status}");
        }
    }
}
