//! Durations of requests. Keeps the handles of the metrics, as a search by labels costs more than recording.

use crate::routes::Endpoint;
use http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use std::time::Duration;

/// The endpoints that are distinguished.
const NAMES: [&str; 6] = ["feast_read", "read", "feast_push", "feast_write", "write", "other"];

/// The paths of the endpoints among them whose requests Feast counts.
const FEAST_PATHS: [(usize, &str); 2] = [(0, "/get-online-features"), (2, "/push")];

/// The index of reads of Feast's door in [`NAMES`].
const FEAST_READ: usize = 0;

/// Durations by endpoint and outcome.
pub(crate) struct Latency {
    seconds: [[Histogram; 3]; NAMES.len()],
    /// By endpoint: the metrics under Feast's names, if they are switched on.
    feast: Option<[Option<Feast>; NAMES.len()]>,
}

/// The metrics of an endpoint under Feast's names.
struct Feast {
    /// Errors and successes.
    requests: [Counter; 2],
    /// Durations without numbers of features: of pushes, and of reads that failed.
    seconds: Histogram,
}

impl Latency {
    pub(crate) fn new(feast: bool) -> Self {
        let seconds = NAMES.map(|name| {
            ["ok", "rejected", "failed"]
                .map(|outcome| histogram!("littoral_door_request_seconds", "endpoint" => name, "outcome" => outcome))
        });
        let metrics = |path: &'static str| {
            let requests = ["error", "success"]
                .map(|status| counter!("feast_feature_server_request_total", "endpoint" => path, "status" => status));
            let labels = [("endpoint", path), ("feature_count", ""), ("feature_view_count", "")];
            Feast { requests, seconds: histogram!("feast_feature_server_request_latency_seconds", &labels) }
        };
        let feast = feast.then(|| {
            std::array::from_fn(|kind| FEAST_PATHS.iter().find(|(at, _)| *at == kind).map(|(_, path)| metrics(path)))
        });
        Self { seconds, feast }
    }

    /// Records the duration of a request.
    pub(crate) fn record(&self, endpoint: Endpoint, status: StatusCode, took: Duration) {
        let kind = match endpoint {
            Endpoint::FeastRead => 0,
            Endpoint::Read => 1,
            Endpoint::FeastPush => 2,
            Endpoint::FeastWrite => 3,
            Endpoint::WriteRows | Endpoint::WriteViews => 4,
            _ => 5,
        };
        let outcome = match status {
            _ if status.is_success() => 0,
            _ if status.is_client_error() => 1,
            _ => 2,
        };
        self.seconds[kind][outcome].record(took.as_secs_f64());
        if let Some(feast) = self.feast.as_ref().and_then(|feast| feast[kind].as_ref()) {
            feast.requests[usize::from(status.is_success())].increment(1);
            // The read itself records a success, with its numbers of features.
            if kind != FEAST_READ || !status.is_success() {
                feast.seconds.record(took.as_secs_f64());
            }
        }
    }
}
