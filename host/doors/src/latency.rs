//! Latencies of requests. Keeps the handles of the histograms, as a search by labels costs more than recording.

use crate::routes::Endpoint;
use http::StatusCode;
use metrics::Histogram;
use std::time::Duration;

/// The endpoints that are called often enough for a meaningful latency.
const NAMES: [&str; 4] = ["feast_read", "read", "feast_write", "write"];

/// Latencies by endpoint and outcome.
pub(crate) struct Latency([[Histogram; 2]; NAMES.len()]);

impl Latency {
    pub(crate) fn new() -> Self {
        let histogram = |name: &'static str, outcome: &'static str| metrics::histogram!("littoral_gateway_request_seconds", "endpoint" => name, "outcome" => outcome);
        Self(NAMES.map(|name| [histogram(name, "failed"), histogram(name, "ok")]))
    }

    /// Records the latency of a request.
    pub(crate) fn record(&self, endpoint: Endpoint, status: StatusCode, took: Duration) {
        let kind = match endpoint {
            Endpoint::FeastRead => 0,
            Endpoint::Read => 1,
            Endpoint::FeastPush | Endpoint::FeastWrite => 2,
            Endpoint::WriteRows | Endpoint::WriteViews => 3,
            _ => return,
        };
        self.0[kind][usize::from(status.is_success())].record(took.as_secs_f64());
    }
}
