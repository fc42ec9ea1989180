//! Compares an answer with a recorded one. Columns are matched by name, like in clients: Feast's own order is that of a
//! Python set. Messages may differ, but the error's class may not.

use crate::{
    differences::{Expected, Picked},
    golden::{Golden, Response},
};
use littoral_provision::http::Answer;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Returns whether a value of the column with this name is answered differently on purpose.
type Pick<'a> = &'a dyn Fn(&str, &Value) -> bool;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    values: Vec<Value>,
    statuses: Vec<Value>,
    event_timestamps: Vec<Value>,
}

/// Returns the difference between the answer and the expected one, if there is one. The expected answer is `recorded`,
/// with the listed difference.
#[must_use]
pub fn mismatch(golden: &Golden, expected: Option<&Expected>, recorded: &Response, answer: &Answer) -> Option<String> {
    let outcome = match expected {
        None | Some(Expected::SameAs { .. }) => same(golden, recorded, answer),
        Some(Expected::ClientError { class }) => client_error(answer, class.as_deref()),
        Some(Expected::UnknownPath) => check(answer.status == 404, || "status 404 expected".to_owned()),
        Some(Expected::Status { status, values, null_also, null_also_column }) => {
            let stands_for_null = |column: &str, value: &Value| {
                null_also_column.as_deref() == Some(column) && null_also.iter().any(|number| *value == json!(number))
            };
            let picked = |column: &str, value: &Value| {
                *values == Picked::All || value.is_null() || stands_for_null(column, value)
            };
            read_as(recorded, answer, Some((status, &picked)))
        }
    };
    outcome.err().map(|why| format!("{}: {why}\n  answered {}: {}", golden.name, answer.status, answer.text()))
}

fn same(golden: &Golden, recorded: &Response, answer: &Answer) -> Result<(), String> {
    if answer.status != recorded.status {
        return Err(format!("status {} expected", recorded.status));
    }
    let theirs = recorded.json();
    if theirs.get("results").is_some() {
        return read_as(recorded, answer, None);
    }
    if answer.status == 200 {
        let expected = recorded.body_text.as_deref().unwrap_or_default();
        return check(answer.text() == expected, || format!("body '{expected}' expected"));
    }
    if golden.request.method == "GET" || recorded.body_text.is_none() {
        return check(answer.json()["detail"].is_string(), || "a detail expected".to_owned());
    }
    match error_class(&theirs) {
        Some(class) => client_class(answer, &class),
        None => check(!answer.json()["detail"].is_null(), || "a detail expected".to_owned()),
    }
}

fn client_error(answer: &Answer, class: Option<&str>) -> Result<(), String> {
    check(matches!(answer.status, 400 | 422), || "status 400 or 422 expected".to_owned())?;
    // A 4xx whose body is not JSON makes the SDK raise a decode error.
    check(!answer.json().is_null(), || "JSON expected".to_owned())?;
    class.map_or(Ok(()), |class| client_class(answer, class))
}

fn client_class(answer: &Answer, class: &str) -> Result<(), String> {
    let got = error_class(&answer.json());
    check(got.as_deref() == Some(class), || format!("Feast's class {class} expected, got {got:?}"))
}

/// Returns the class of Feast's own errors: a JSON string that contains JSON.
fn error_class(body: &Value) -> Option<String> {
    let inner: Value = serde_json::from_str(body.as_str()?).ok()?;
    (inner["module"] == "feast.errors").then(|| inner["class"].as_str().map(str::to_owned))?
}

/// Compares reads. `instead` is the status that we give, with a null value, to the values that it selects.
fn read_as(recorded: &Response, answer: &Answer, instead: Option<(&str, Pick<'_>)>) -> Result<(), String> {
    check(answer.status == 200, || "status 200 expected".to_owned())?;
    let (theirs, ours) = (columns(&recorded.json())?, columns(&answer.json())?);
    let names = |columns: &BTreeMap<String, Column>| columns.keys().cloned().collect::<Vec<_>>();
    check(names(&theirs) == names(&ours), || format!("columns {:?} expected", names(&theirs)))?;
    let mut replaced = 0;
    for (name, expected) in &theirs {
        let mut expected = expected.clone();
        let ours = &ours[name];
        if let Some((status, picked)) = instead {
            for row in 0..expected.values.len() {
                // A row that does not exist has no event.
                let there = expected.event_timestamps[row] != "1970-01-01T00:00:00Z";
                if there && picked(name, &expected.values[row]) {
                    expected.statuses[row] = json!(status);
                    expected.values[row] = Value::Null;
                    replaced += 1;
                }
            }
        }
        for (theirs, ours) in expected.event_timestamps.iter_mut().zip(&ours.event_timestamps) {
            keep_fraction(theirs, ours);
        }
        check(*ours == expected, || format!("column {name}: {expected:?} expected, got {ours:?}"))?;
    }
    check(instead.is_none() || replaced > 0, || "there is no difference any more: remove it from the list".to_owned())?;
    let views = |body: &Value| body["metadata"]["feature_view_metadata"][0]["name"].clone();
    let (theirs, ours) = (views(&recorded.json()), views(&answer.json()));
    check(theirs == ours, || format!("view metadata of {theirs} expected, got {ours}"))
}

/// Restores the fraction of a second: the recorded server's store kept whole seconds of event timestamps, and ours
/// keeps all.
fn keep_fraction(theirs: &mut Value, ours: &Value) {
    let whole = ours.as_str().and_then(|ours| Some(format!("{}Z", ours.split_once('.')?.0)));
    if whole.is_some() && theirs.as_str() == whole.as_deref() {
        *theirs = ours.clone();
    }
}

fn columns(body: &Value) -> Result<BTreeMap<String, Column>, String> {
    let list = |value: &Value| value.as_array().cloned().ok_or_else(|| format!("a list expected, got {value}"));
    let (names, results) = (list(&body["metadata"]["feature_names"])?, list(&body["results"])?);
    check(names.len() == results.len(), || "as many names as results expected".to_owned())?;
    let column = |(name, result): (&Value, &Value)| {
        let column = Column {
            values: list(&result["values"])?,
            statuses: list(&result["statuses"])?,
            event_timestamps: list(&result["event_timestamps"])?,
        };
        Ok((name.as_str().unwrap_or_default().to_owned(), column))
    };
    names.iter().zip(&results).map(column).collect()
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
