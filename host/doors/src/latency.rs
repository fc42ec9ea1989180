//! How long requests take. The histograms' handles are kept, as finding one by its labels costs more than recording.

use crate::routes::Endpoint;
use http::StatusCode;
use metrics::Histogram;
use std::time::Duration;

/// What is called often enough for its latency to mean something.
const NAMES: [&str; 4] = ["feast_read", "read", "feast_write", "write"];

/// Latencies by kind of request and outcome.
pub(crate) struct Latency([[Histogram; 2]; NAMES.len()]);

impl Latency {
    pub(crate) fn new() -> Self {
        let histogram = |name: &'static str, outcome: &'static str| metrics::histogram!("littoral_gateway_request_seconds", "endpoint" => name, "outcome" => outcome);
        Self(NAMES.map(|name| [histogram(name, "failed"), histogram(name, "ok")]))
    }

    /// Records a request.
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
