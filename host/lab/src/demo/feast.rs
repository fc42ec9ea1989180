//! Reads by Feast's protocol: `POST /get-online-features`.

use crate::{
    failure::Failure,
    plain_http::{Answer, Http},
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The features of an answer: columns by name.
pub struct Features {
    columns: HashMap<String, (Vec<Value>, Vec<String>)>,
    /// How far behind the leader the answer may be, in milliseconds.
    pub staleness_ms: Option<f64>,
    /// Why the answer is degraded, if it is.
    pub degraded: Option<String>,
    /// The digests of the modules that ran, as `name=digest`.
    pub modules: Option<String>,
}

/// A route: origin and destination.
pub type Route = (&'static str, &'static str);

/// Returns the request of a Feast client for features of some routes, at an hour of departure.
pub fn request(features: &[&str], routes: &[Route], hour: i64) -> Value {
    let origins: Vec<_> = routes.iter().map(|(origin, _)| *origin).collect();
    let destinations: Vec<_> = routes.iter().map(|(_, destination)| *destination).collect();
    json!({
        "features": features,
        "entities": {
            "origin": origins,
            "destination": destinations,
            "departure_hour": vec![hour; routes.len()],
        },
    })
}

/// Returns the request of a Feast client for a feature service.
pub fn service_request(service: &str, routes: &[Route]) -> Value {
    let origins: Vec<_> = routes.iter().map(|(origin, _)| *origin).collect();
    let destinations: Vec<_> = routes.iter().map(|(_, destination)| *destination).collect();
    json!({
        "feature_service": service,
        "entities": { "origin": origins, "destination": destinations },
        "full_feature_names": true,
    })
}

/// Reads features through a node's door.
///
/// # Errors
/// When the node rejects the read or does not answer.
pub async fn read(http: &Http, node: &str, headers: &[(&str, &str)], request: &Value) -> Result<Features, Failure> {
    let answer = ask(http, node, headers, request).await?;
    parse(&answer)
}

/// Sends a read, and returns its response whatever the status.
///
/// # Errors
/// When there is no response.
pub async fn ask(http: &Http, node: &str, headers: &[(&str, &str)], request: &Value) -> Result<Answer, Failure> {
    http.post(&format!("{node}/get-online-features"), headers, request).await
}

/// Returns a response's features.
///
/// # Errors
/// When the node rejected the read, or the response does not follow Feast's protocol.
pub fn parse(answer: &Answer) -> Result<Features, Failure> {
    let body = answer.json()?;
    let malformed = || Failure::rejected(format!("the response does not follow Feast's protocol: {}", answer.text()));
    let names = body["metadata"]["feature_names"].as_array().ok_or_else(malformed)?;
    let results = body["results"].as_array().ok_or_else(malformed)?;
    let mut columns = HashMap::new();
    for (name, result) in names.iter().zip(results) {
        let name = name.as_str().ok_or_else(malformed)?.to_owned();
        let values = result["values"].as_array().ok_or_else(malformed)?.clone();
        let statuses = result["statuses"].as_array().ok_or_else(malformed)?;
        let statuses = statuses.iter().map(|status| status.as_str().unwrap_or_default().to_owned()).collect();
        columns.insert(name, (values, statuses));
    }
    Ok(Features {
        columns,
        staleness_ms: answer.header("littoral-staleness-ms").and_then(|text| text.parse().ok()),
        degraded: answer.header("littoral-degraded").map(str::to_owned),
        modules: answer.header("littoral-module-digest").map(str::to_owned),
    })
}

impl Features {
    /// Returns a value that is present.
    ///
    /// # Errors
    /// When the column is missing or the value has another status.
    pub fn value(&self, name: &str, row: usize) -> Result<&Value, Failure> {
        let (values, statuses) = self
            .columns
            .get(name)
            .ok_or_else(|| Failure::rejected(format!("the answer lacks the feature '{name}'")))?;
        match (values.get(row), statuses.get(row).map(String::as_str)) {
            (Some(value), Some("PRESENT")) => Ok(value),
            (_, status) => Err(Failure::rejected(format!(
                "feature '{name}' of row {row} is {}, not PRESENT",
                status.unwrap_or("missing")
            ))),
        }
    }

    /// Returns a number that is present.
    ///
    /// # Errors
    /// As [`Features::value`], and when it is not a number.
    pub fn number(&self, name: &str, row: usize) -> Result<f64, Failure> {
        let value = self.value(name, row)?;
        value.as_f64().ok_or_else(|| Failure::rejected(format!("feature '{name}' is {value}, not a number")))
    }

    /// Returns a text that is present.
    ///
    /// # Errors
    /// As [`Features::value`], and when it is not a text.
    pub fn text(&self, name: &str, row: usize) -> Result<&str, Failure> {
        let value = self.value(name, row)?;
        value.as_str().ok_or_else(|| Failure::rejected(format!("feature '{name}' is {value}, not a text")))
    }

    /// Returns whether another answer has the same values and statuses.
    pub fn same_values(&self, other: &Self) -> bool {
        self.columns == other.columns
    }
}
