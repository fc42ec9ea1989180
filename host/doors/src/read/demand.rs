//! The freshness demand of a read: from headers, and at the native door also from the body.

use crate::failure::Failure;
use http::{HeaderMap, HeaderName};
use littoral_api::{
    code,
    headers::{AT_LEAST, CONSISTENCY, MAX_STALENESS_MS, ON_UNMET, WAIT_MS},
};
use littoral_model::{
    freshness::{Consistency, OnUnmet, ReadDemand},
    token::Watermark,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// A demand in headers or in a body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    max_staleness_ms: Option<u64>,
    at_least: Option<String>,
    consistency: Option<Consistency>,
    on_unmet: Option<OnUnmet>,
    wait_ms: Option<u64>,
}

/// Returns the demand of a request. The body takes precedence over headers.
pub(super) fn of(headers: &HeaderMap, body: Option<&RawValue>, wait_max: Duration) -> Result<ReadDemand, Failure> {
    let mut written = from_headers(headers)?;
    if let Some(body) = body {
        let body: Written = serde_json::from_str(body.get()).map_err(|error| invalid("demand", &error.to_string()))?;
        written.max_staleness_ms = body.max_staleness_ms.or(written.max_staleness_ms);
        written.at_least = body.at_least.or(written.at_least);
        written.consistency = body.consistency.or(written.consistency);
        written.on_unmet = body.on_unmet.or(written.on_unmet);
        written.wait_ms = body.wait_ms.or(written.wait_ms);
    }
    let default = ReadDemand::default();
    let at_least = written.at_least.as_deref().map(str::parse::<Watermark>).transpose();
    Ok(ReadDemand {
        consistency: written.consistency.unwrap_or(default.consistency),
        max_staleness: written.max_staleness_ms.map(Duration::from_millis),
        at_least: at_least.map_err(|error| invalid("at_least", &error.to_string()))?,
        on_unmet: written.on_unmet.unwrap_or(default.on_unmet),
        wait_max: written.wait_ms.map_or(default.wait_max, Duration::from_millis).min(wait_max),
    })
}

fn invalid(what: &str, reason: &str) -> Failure {
    Failure::bad_request(code::INVALID_DEMAND, format!("{what}: {reason}"))
}

fn from_headers(headers: &HeaderMap) -> Result<Written, Failure> {
    fn word<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
        let text = headers.get(name).map(|value| value.to_str().map(str::trim)).transpose();
        text.map_err(|_| invalid(name.as_str(), "not plain text"))
    }
    fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Failure> {
        let number = word(headers, name)?.map(str::parse).transpose();
        number.map_err(|_| invalid(name.as_str(), "expected a whole number of milliseconds"))
    }
    fn choice<T: for<'a> Deserialize<'a>>(headers: &HeaderMap, name: &HeaderName) -> Result<Option<T>, Failure> {
        let parse = |text: &str| serde_json::from_value(serde_json::Value::from(text));
        let choice = word(headers, name)?.map(parse).transpose();
        choice.map_err(|error| invalid(name.as_str(), &error.to_string()))
    }
    Ok(Written {
        max_staleness_ms: number(headers, &MAX_STALENESS_MS)?,
        at_least: word(headers, &AT_LEAST)?.map(str::to_owned),
        consistency: choice(headers, &CONSISTENCY)?,
        on_unmet: choice(headers, &ON_UNMET)?,
        wait_ms: number(headers, &WAIT_MS)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_body_takes_precedence_over_headers() {
        let given = headers(&[("littoral-max-staleness-ms", "250"), ("littoral-on-unmet", "serve_stale")]);
        let wait_max = Duration::from_secs(1);
        let demand = of(&given, None, wait_max).unwrap();
        assert_eq!((demand.max_staleness, demand.on_unmet), (Some(Duration::from_millis(250)), OnUnmet::ServeStale));
        let body = RawValue::from_string(r#"{"max_staleness_ms":5,"wait_ms":60000}"#.into()).unwrap();
        let demand = of(&given, Some(&body), wait_max).unwrap();
        assert_eq!((demand.max_staleness, demand.wait_max), (Some(Duration::from_millis(5)), wait_max));
        assert!(of(&HeaderMap::new(), None, wait_max).unwrap().is_none());
    }

    #[test]
    fn an_invalid_demand_is_rejected_by_name() {
        for (name, value) in [
            ("littoral-max-staleness-ms", "-1"),
            ("littoral-at-least", "x"),
            ("littoral-consistency", "majority"),
            ("littoral-on-unmet", "hope"),
            ("littoral-wait-ms", "1s"),
        ] {
            let failure = of(&headers(&[(name, value)]), None, Duration::ZERO).unwrap_err();
            assert_eq!(failure.code, "invalid_demand");
            assert!(
                failure.message.contains(name.trim_start_matches("littoral-").replace('-', "_").as_str())
                    || failure.message.contains(name),
                "{}",
                failure.message
            );
        }
    }
}
