//! Recorded exchanges with Feast's feature server, replayed in their order.

use crate::{
    feast_project::{self, fixtures},
    stand::Answer,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    name: String,
    request: Sent,
    response: Received,
}

#[derive(Deserialize)]
struct Sent {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body_text: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Received {
    status: u16,
    body_text: String,
}

#[derive(Deserialize)]
struct Differences {
    difference: Vec<Difference>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    name: String,
    expect: String,
    reason: String,
    class: Option<String>,
    status: Option<String>,
    values: Option<String>,
    other: Option<String>,
    #[serde(default)]
    null_also: Vec<i64>,
    null_also_column: Option<String>,
}

type Columns = BTreeMap<String, [Vec<Value>; 3]>;

fn goldens() -> Vec<Golden> {
    let mut files: Vec<_> =
        std::fs::read_dir(fixtures().join("golden")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

fn differences() -> Vec<Difference> {
    let text = std::fs::read_to_string(fixtures().join("differences.toml")).unwrap();
    toml::from_str::<Differences>(&text).unwrap().difference
}

fn columns(body: &str) -> Columns {
    let body: Value = serde_json::from_str(body).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let names = list(&body["metadata"]["feature_names"]);
    let results = list(&body["results"]);
    assert_eq!(names.len(), results.len());
    let column = |(name, result): (&Value, &Value)| {
        let parts = ["values", "statuses", "event_timestamps"].map(|part| list(&result[part]));
        (name.as_str().unwrap().to_owned(), parts)
    };
    names.iter().zip(&results).map(column).collect()
}

/// The class of an error of Feast's own: a JSON string that holds JSON.
fn class(body: &str) -> Option<String> {
    let outer: Value = serde_json::from_str(body).ok()?;
    let inner: Value = serde_json::from_str(outer.as_str()?).ok()?;
    inner["class"].as_str().map(str::to_owned)
}

fn compare(golden: &Golden, recorded: &Received, difference: Option<&Difference>, answer: &Answer) {
    let name = &golden.name;
    let ours = std::str::from_utf8(&answer.body).unwrap();
    let expect = difference.map_or("same", |difference| difference.expect.as_str());
    match expect {
        "client_error" => {
            assert!(matches!(answer.status, 400 | 422), "{name}: {} {ours}", answer.status);
            let ours_class = class(ours);
            assert!(ours_class.is_some(), "{name}: {ours}");
            if let Some(wanted) = difference.and_then(|difference| difference.class.clone()) {
                assert_eq!(ours_class, Some(wanted), "{name}");
            }
        }
        "unknown_path" => assert_eq!(answer.status, 404, "{name}: {ours}"),
        _ if recorded.status != 200 => {
            assert_eq!(answer.status, recorded.status, "{name}: {ours}");
            match class(&recorded.body_text) {
                Some(wanted) => assert_eq!(class(ours), Some(wanted), "{name}"),
                None => {
                    let theirs: Value = serde_json::from_str(&recorded.body_text).unwrap();
                    let ours: Value = serde_json::from_str(ours).unwrap();
                    for part in ["type", "loc"] {
                        let pick = |body: &Value| body["detail"][0][part].clone();
                        // Parsers differ in the place of a broken text at which they stop.
                        if pick(&theirs)[1].is_number() {
                            continue;
                        }
                        assert_eq!(pick(&ours), pick(&theirs), "{name}: {part}");
                    }
                }
            }
        }
        _ if golden.request.path != "/get-online-features" => {
            assert_eq!((answer.status, ours), (200, recorded.body_text.as_str()), "{name}");
        }
        _ => {
            assert_eq!(answer.status, 200, "{name}: {ours}");
            let (mut theirs, ours_columns) = (columns(&recorded.body_text), columns(ours));
            if let Some(difference) = difference.filter(|difference| difference.expect == "status") {
                expect_status(&mut theirs, difference);
            }
            assert_eq!(ours_columns, theirs, "{name}");
            let views = |body: &str| {
                serde_json::from_str::<Value>(body).unwrap()["metadata"]["feature_view_metadata"][0]["name"].clone()
            };
            assert_eq!(views(ours), views(&recorded.body_text), "{name}");
        }
    }
}

fn expect_status(columns: &mut Columns, difference: &Difference) {
    let mut changed = 0;
    for (name, [values, statuses, times]) in columns.iter_mut() {
        for row in 0..values.len() {
            let no_feature = times[row] == "1970-01-01T00:00:00Z";
            let stands_for_null = difference.null_also_column.as_ref() == Some(name)
                && difference.null_also.iter().any(|null| values[row] == *null);
            let picked = difference.values.as_deref() == Some("all") || values[row].is_null() || stands_for_null;
            if picked && !no_feature {
                values[row] = Value::Null;
                statuses[row] = difference.status.clone().unwrap().into();
                changed += 1;
            }
        }
    }
    assert!(changed > 0, "{}: nothing differs any more", difference.name);
}

#[tokio::test]
async fn the_door_answers_as_feast_did_but_for_the_listed_differences() {
    let door = feast_project::open().await;
    let (goldens, differences) = (goldens(), differences());
    assert!(goldens.len() > 50);
    for golden in &goldens {
        let headers: Vec<(&str, &str)> =
            golden.request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = golden.request.body_text.clone().unwrap_or_default();
        let answer = door.send(&golden.request.method, &golden.request.path, &headers, body).await;
        let difference = differences.iter().find(|difference| difference.name == golden.name);
        let other = difference.and_then(|difference| difference.other.as_ref());
        let recorded = match other {
            Some(other) => &goldens.iter().find(|golden| golden.name == *other).unwrap().response,
            None => &golden.response,
        };
        compare(golden, recorded, difference, &answer);
    }
}

#[test]
fn every_difference_is_of_a_recorded_exchange_and_has_a_reason() {
    let goldens = goldens();
    for difference in differences() {
        assert!(goldens.iter().any(|golden| golden.name == difference.name), "{}", difference.name);
        assert!(!difference.reason.is_empty());
    }
}
