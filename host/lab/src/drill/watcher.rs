//! Polls the router's status: when it has detected a fault, and when all doors are usable again.

use crate::plain_http::Http;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often the router is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls a router.
pub struct Watcher {
    http: Http,
    url: String,
}

impl Watcher {
    /// Returns a watcher of the router at this URL.
    pub fn new(router: &str) -> Self {
        Self { http: Http::new(), url: format!("{router}/router/v1/status") }
    }

    /// Waits until the status is as wanted. Returns false when it is not in time.
    pub async fn until(&self, wait_max: Duration, mut wanted: impl FnMut(&Value) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if let Ok(answer) = self.http.get(&self.url).await
                && let Ok(view) = answer.json()
                && wanted(&view)
            {
                return true;
            }
            if begun.elapsed() >= wait_max {
                return false;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Counts the doors that are not usable: of a region, or without one of all regions.
pub fn unusable(view: &Value, region: Option<&str>) -> usize {
    let regions = view["regions"].as_array().into_iter().flatten();
    let of = regions.filter(|at| region.is_none_or(|region| at["name"] == region));
    of.flat_map(|at| at["doors"].as_array().into_iter().flatten())
        .filter(|door| door["door"]["state"] != "healthy" || !door["door"]["ejected_for_ms"].is_null())
        .count()
}

/// Returns the member that the router considers a region's leader.
pub fn leading<'a>(view: &'a Value, region: &str) -> Option<&'a str> {
    let mut regions = view["regions"].as_array().into_iter().flatten();
    regions.find(|at| at["name"] == region)?["leading"].as_str()
}

/// Returns whether a region has this role at the router.
pub fn has_role(view: &Value, region: &str, role: &str) -> bool {
    let mut regions = view["regions"].as_array().into_iter().flatten();
    regions.any(|at| at["name"] == region && at["role"] == role)
}
