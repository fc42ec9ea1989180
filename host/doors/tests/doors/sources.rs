//! Views whose source names its own columns, as a Feast registry has them: what a pushed frame must contain, and what
//! is shown.

use crate::{
    node::MemoryNode,
    stand::{Answer, Door},
};
use serde_json::{Value, json};

/// A view with this source, and a push source of it by the view's name.
async fn define(door: &Door, view: &str, entities: Value, source: Value) {
    let body = json!({"entities": entities, "features": [{"name": "score", "value_type": "int64"}], "ttl_seconds": 86_400, "source": source});
    let put = door.put(&format!("/v1/views/{view}"), &body).await;
    assert_eq!(put.status, 200, "{}", put.json());
    assert_eq!(door.put(&format!("/v1/push-sources/{view}"), &json!({"views": [view]})).await.status, 200);
}

fn driver() -> Value {
    json!([{"name": "driver", "join_key": "driver_id", "value_type": "int64"}])
}

async fn push(door: &Door, source: &str, df: Value) -> Answer {
    door.post("/push", &json!({"push_source_name": source, "df": df, "to": "online"})).await
}

async fn write(door: &Door, view: &str, df: Value) -> Answer {
    door.post("/write-to-online-store", &json!({"feature_view_name": view, "df": df})).await
}

/// Value, status and event time of each driver's score.
async fn scores(door: &Door, view: &str, drivers: &[i64]) -> Vec<(Value, String)> {
    let body = json!({"features": [format!("{view}:score")], "entities": {"driver_id": drivers}});
    let answer = door.post("/get-online-features", &body).await.json();
    let column = &answer["results"][1];
    let pairs = column["values"].as_array().unwrap().iter().zip(column["statuses"].as_array().unwrap());
    pairs.map(|(value, status)| (value.clone(), status.as_str().unwrap().to_owned())).collect()
}

fn ago(seconds: i64) -> String {
    let now = littoral_runtime::clock::wall().0 / 1_000_000_000;
    let mut text = Vec::new();
    littoral_model::event_time::EventTime((now - seconds) * 1_000_000_000).write_rfc3339(&mut text);
    String::from_utf8(text).unwrap()
}

fn rejected(answer: &Answer, words: &[&str]) {
    let text = answer.json().as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.status, 422, "{text}");
    assert!(text.contains("feast.errors"), "{text}");
    let message: Value = serde_json::from_str(&text).unwrap();
    let message = message["message"].as_str().unwrap();
    words.iter().for_each(|word| assert!(message.contains(word), "'{word}' in: {message}"));
}

#[tokio::test]
async fn a_row_that_the_leader_rejects_is_named_by_its_place_in_the_frame() {
    let door = Door::open(MemoryNode { future_row: Some(3), ..MemoryNode::default() }).await;
    for view in ["a", "b"] {
        define(&door, view, driver(), json!({"name": "c", "event_timestamp": "ts"})).await;
    }
    assert_eq!(door.put("/v1/push-sources/both", &json!({"views": ["a", "b"]})).await.status, 200);
    let df = json!({"driver_id": [1, 2], "score": [1, 2], "ts": [ago(60), ago(60)]});
    rejected(&push(&door, "both", df).await, &["row 1 of view 'b' (id=7): event timestamp"]);
}

#[tokio::test]
async fn a_push_is_dated_by_its_sources_own_column_and_rejected_without_it() {
    let door = Door::open(MemoryNode::default()).await;
    define(&door, "clicks", driver(), json!({"name": "c", "event_timestamp": "ts"})).await;
    let (old, new) = (ago(3 * 86_400), ago(60));
    for (driver, score, time) in [(1, 10, &new), (1, 5, &old), (2, 7, &old)] {
        let df = json!({"driver_id": [driver], "score": [score], "ts": [time]});
        let answer = push(&door, "clicks", df).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.json());
    }
    let present = |value: i64| (json!(value), "PRESENT".to_owned());
    let expired = (json!(null), "OUTSIDE_MAX_AGE".to_owned());
    assert_eq!(scores(&door, "clicks", &[1, 2]).await, [present(10), expired.clone()]);

    // A column of another name is not the time of the event.
    for df in [
        json!({"driver_id": [1], "score": [9]}),
        json!({"driver_id": [1], "score": [9], "event_timestamp": [ago(0)]}),
        json!({"driver_id": [1], "score": [9], "TS": [ago(0)]}),
    ] {
        rejected(
            &push(&door, "clicks", df).await,
            &["Field \"ts\" does not exist in schema", "view 'clicks'", "source 'c'"],
        );
    }
    // Nor does a time that is missing in one of the rows, or is none.
    for time in [json!(null), json!("soon")] {
        let df = json!({"driver_id": [1, 1], "score": [8, 9], "ts": [ago(0), time]});
        rejected(&push(&door, "clicks", df).await, &["row 1, column 'ts'"]);
    }
    assert_eq!(scores(&door, "clicks", &[1, 2]).await, [present(10), expired], "what is refused changes nothing");

    // The SDK writes to a remote store under names of its own; a row without a time is rejected there, too.
    let sdk = json!({"driver_id": [3], "score": [3], "event_timestamp": [ago(30)], "created": [null]});
    assert_eq!(write(&door, "clicks", sdk).await.status, 200);
    let own = json!({"driver_id": [3], "score": [4], "ts": [ago(20)]});
    assert_eq!(write(&door, "clicks", own).await.status, 200);
    assert_eq!(scores(&door, "clicks", &[3]).await, [present(4)]);
    rejected(&write(&door, "clicks", json!({"driver_id": [3], "score": [5]})).await, &["'ts'"]);
}

#[tokio::test]
async fn a_view_without_a_source_dates_rows_without_a_time_with_the_write() {
    let door = Door::open(MemoryNode::default()).await;
    define(&door, "plain", driver(), Value::Null).await;
    assert_eq!(push(&door, "plain", json!({"driver_id": [1], "score": [1]})).await.status, 200);
    let late = json!({"driver_id": [1], "score": [2], "event_timestamp": [ago(60)]});
    assert_eq!(push(&door, "plain", late).await.status, 200);
    assert_eq!(scores(&door, "plain", &[1]).await, [(json!(1), "PRESENT".to_owned())]);
}

#[tokio::test]
async fn the_time_of_creation_is_wanted_where_the_source_names_it_and_decides_nothing_in_a_push() {
    let door = Door::open(MemoryNode::default()).await;
    define(&door, "made", driver(), json!({"event_timestamp": "ts", "created": "made"})).await;
    let time = ago(60);
    rejected(
        &push(&door, "made", json!({"driver_id": [1], "score": [1], "ts": [time]})).await,
        &["'made'", "was made"],
    );
    let tie = json!({"driver_id": [1, 1], "score": [20, 30], "ts": [time, time], "made": [ago(1), ago(2)]});
    assert_eq!(push(&door, "made", tie).await.status, 200);
    assert_eq!(
        scores(&door, "made", &[1]).await,
        [(json!(30), "PRESENT".to_owned())],
        "as Feast: what is written later"
    );
    let again = json!({"driver_id": [1], "score": [40], "ts": [time], "made": [ago(9_999)]});
    assert_eq!(push(&door, "made", again).await.status, 200);
    assert_eq!(scores(&door, "made", &[1]).await, [(json!(40), "PRESENT".to_owned())]);
}

#[tokio::test]
async fn columns_go_by_the_sources_field_mapping() {
    let door = Door::open(MemoryNode::default()).await;
    let mapping = json!({"drv": "driver_id", "sc": "score", "when": "ts", "other": "another view's"});
    define(&door, "mapped", driver(), json!({"name": "m", "event_timestamp": "ts", "field_mapping": mapping})).await;
    for (driver, df) in [
        (1, json!({"drv": [1], "sc": [7], "when": [ago(9)]})),
        (2, json!({"driver_id": [2], "score": [7], "ts": [ago(9)]})),
        (3, json!({"drv": [3], "score": [7], "ts": [ago(9)], "other": [1], "unknown": [2]})),
    ] {
        let answer = push(&door, "mapped", df).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(scores(&door, "mapped", &[driver]).await, [(json!(7), "PRESENT".to_owned())]);
    }
    let both = json!({"driver_id": [1], "score": [1], "sc": [2], "ts": [ago(1)]});
    rejected(&push(&door, "mapped", both).await, &["two columns for 'score'", "'sc' and 'score'"]);
    rejected(&push(&door, "mapped", json!({"driver_id": [1], "ts": [ago(1)]})).await, &["'score'", "feature"]);
    // A mapping that renames the time column does not hide it.
    let hidden = json!({"event_timestamp": "ts", "field_mapping": {"ts": "event_ts"}});
    define(&door, "hidden", driver(), hidden).await;
    assert_eq!(push(&door, "hidden", json!({"driver_id": [1], "score": [1], "ts": [ago(1)]})).await.status, 200);
}

#[tokio::test]
async fn a_push_that_reaches_several_views_is_taken_by_all_or_none() {
    let door = Door::open(MemoryNode::default()).await;
    define(&door, "first", driver(), json!({"event_timestamp": "ts"})).await;
    define(&door, "second", driver(), json!({"event_timestamp": "other_ts"})).await;
    assert_eq!(door.put("/v1/push-sources/both", &json!({"views": ["first", "second"]})).await.status, 200);
    let df = json!({"driver_id": [1], "score": [1], "ts": [ago(1)]});
    rejected(&push(&door, "both", df).await, &["'other_ts'", "view 'second'"]);
    assert_eq!(scores(&door, "first", &[1]).await, [(json!(null), "NOT_FOUND".to_owned())]);
}

#[tokio::test]
async fn a_view_without_entities_is_written_and_read_with_feasts_stand_in_and_without() {
    let door = Door::open(MemoryNode::default()).await;
    define(&door, "totals", json!([]), json!({"event_timestamp": "ts"})).await;
    define(&door, "clicks", driver(), json!({"event_timestamp": "ts"})).await;
    let read = async |entities: Value| {
        let answer =
            door.post("/get-online-features", &json!({"features": ["totals:score"], "entities": entities})).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let json = answer.json();
        let at = json["metadata"]["feature_names"].as_array().unwrap().iter().position(|name| name == "score").unwrap();
        (json["metadata"]["feature_names"].clone(), json["results"][at]["values"].clone())
    };
    for (df, value) in
        [(json!({"__dummy_id": [""], "score": [5], "ts": [ago(9)]}), 5), (json!({"score": [6], "ts": [ago(8)]}), 6)]
    {
        assert_eq!(push(&door, "totals", df).await.status, 200);
        assert_eq!(read(json!({"__dummy_id": [""]})).await, (json!(["score"]), json!([value])));
        assert_eq!(read(json!({"driver_id": [1, 2]})).await, (json!(["driver_id", "score"]), json!([value, value])));
    }
}

#[tokio::test]
async fn what_is_said_about_definitions_is_kept_and_shown_and_a_definition_without_it_has_none() {
    let door = Door::open(MemoryNode::default()).await;
    let view = json!({
        "description": "clicks of a driver", "tags": {"team": "growth"}, "owner": "me@example.com",
        "entities": [{"name": "driver", "join_key": "driver_id", "value_type": "int64", "description": "who drives", "tags": {"pii": "no"}, "owner": "fleet"}],
        "features": [{"name": "score", "value_type": "int64", "description": "the score", "tags": {"unit": "points"}}],
        "ttl_ms": 7, "merge": "latest_event",
        "source": {"name": "c", "description": "click log", "tags": {"a": "b"}, "owner": "data", "event_timestamp": "ts", "created": "made", "field_mapping": {"sc": "score"}},
    });
    let put = door.put("/v1/views/clicks", &view).await;
    assert_eq!(put.status, 200, "{}", put.json());
    let mut shown = door.get("/v1/views/clicks").await.json();
    assert_eq!(put.json()["view"], shown);
    assert_eq!(door.get("/v1/catalogue").await.json()["views"], json!([shown]));
    for given in ["id", "name"] {
        shown.as_object_mut().unwrap().remove(given);
    }
    assert_eq!(shown, view);

    let said = json!({"description": "d", "tags": {"x": "y"}, "owner": "o"});
    for (path, own) in [
        ("/v1/push-sources/p", json!({"views": ["clicks"]})),
        (
            "/v1/services/s",
            json!({"projections": [{"view": "clicks", "alias": null, "features": ["score"], "join_key_map": []}]}),
        ),
    ] {
        let mut body = own.clone();
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        assert_eq!(door.put(path, &body).await.status, 200);
        body["name"] = json!(path.rsplit('/').next().unwrap());
        assert_eq!(door.get(path).await.json(), body);
        assert_eq!(door.put(path, &own).await.status, 200);
        let shown = door.get(path).await.json();
        assert!(shown.get("description").is_none() && shown.get("tags").is_none(), "{shown}");
    }

    let (entities, features) = (driver(), json!([{"name": "score", "value_type": "int64"}]));
    assert_eq!(door.put("/v1/views/clicks", &json!({"entities": entities, "features": features})).await.status, 200);
    let shown = door.get("/v1/views/clicks").await.json();
    assert!(shown.get("source").is_none() && shown.get("owner").is_none(), "{shown}");
}

#[tokio::test]
async fn details_that_fit_no_view_or_are_too_large_are_rejected() {
    let door = Door::open(MemoryNode::default()).await;
    let with = |more: Value| {
        let mut view = json!({"entities": driver(), "features": [{"name": "score", "value_type": "int64"}]});
        view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        view
    };
    for (more, status, word) in [
        (json!({"source": {"event_timestmap": "ts"}}), 400, "event_timestmap"),
        (json!({"source": {"event_timestamp": ""}}), 422, "has an empty name"),
        (json!({"source": {"event_timestamp": "t", "created": "t"}}), 422, "both"),
        (json!({"description": "x".repeat(70_000)}), 422, "maximum is 65536"),
        (json!({"ttl_ms": 1, "ttl_seconds": 1}), 400, "both 'ttl_seconds' and 'ttl_ms'"),
        (json!({"ttl_seconds": u64::MAX}), 400, "too large"),
    ] {
        let answer = door.put("/v1/views/v", &with(more)).await;
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{detail}");
        assert!(detail.contains(word), "'{word}' in: {detail}");
    }
    let large = json!({"views": [], "description": "x".repeat(70_000)});
    assert_eq!(door.put("/v1/push-sources/p", &large).await.status, 422);
}

#[tokio::test]
async fn a_ttl_of_zero_is_for_ever_whichever_way_it_is_given() {
    let door = Door::open(MemoryNode::default()).await;
    for (view, ttl) in [("a", json!({"ttl_ms": 0})), ("b", json!({"ttl_seconds": 0})), ("c", json!({"ttl_ms": null}))] {
        let mut body = json!({"entities": driver(), "features": [{"name": "score", "value_type": "int64"}]});
        body.as_object_mut().unwrap().extend(ttl.as_object().unwrap().clone());
        let put = door.put(&format!("/v1/views/{view}"), &body).await.json();
        assert!(put["view"].get("ttl_ms").is_none(), "{put}");
        assert!(door.get(&format!("/v1/views/{view}")).await.json().get("ttl_ms").is_none());
        let row = json!({"rows": [{"key": {"driver_id": 1}, "values": {"score": 1}, "event_timestamp": "2001-01-01T00:00:00Z"}]});
        assert_eq!(door.post(&format!("/v1/views/{view}/rows"), &row).await.status, 200);
        assert_eq!(scores(&door, view, &[1]).await, [(json!(1), "PRESENT".to_owned())]);
        let read = json!({"features": [format!("{view}:score")], "entities": {"driver_id": [1]}});
        assert_eq!(door.post("/v1/read", &read).await.json()["columns"][1]["statuses"], json!(["PRESENT"]));
    }
}
