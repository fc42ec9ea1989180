//! What the router knows, watched closely: when it has seen a fault, and when its view is whole again.

use crate::plain_http::Http;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often the router is asked.
const EVERY: Duration = Duration::from_millis(10);

/// Asks a router for its view.
pub struct Watcher {
    http: Http,
    url: String,
}

impl Watcher {
    /// Of the router at this base.
    pub fn new(router: &str) -> Self {
        Self { http: Http::new(), url: format!("{router}/router/v1/status") }
    }

    /// Waits until the view is as wanted; false when it was not in time.
    pub async fn until(&self, patience: Duration, mut wanted: impl FnMut(&Value) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if let Ok(answer) = self.http.get(&self.url).await
                && let Ok(view) = answer.json()
                && wanted(&view)
            {
                return true;
            }
            if begun.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Doors of a region whose state is not well; of all regions without one.
pub fn unwell(view: &Value, region: Option<&str>) -> usize {
    let regions = view["regions"].as_array().into_iter().flatten();
    let of = regions.filter(|at| region.is_none_or(|region| at["name"] == region));
    of.flat_map(|at| at["doors"].as_array().into_iter().flatten())
        .filter(|door| door["door"]["state"] != "healthy" || !door["door"]["ejected_for_ms"].is_null())
        .count()
}

/// The member that the router takes for a region's leader.
pub fn leading<'a>(view: &'a Value, region: &str) -> Option<&'a str> {
    let mut regions = view["regions"].as_array().into_iter().flatten();
    regions.find(|at| at["name"] == region)?["leading"].as_str()
}

/// Whether the router knows a region in this role.
pub fn has_role(view: &Value, region: &str, role: &str) -> bool {
    let mut regions = view["regions"].as_array().into_iter().flatten();
    regions.any(|at| at["name"] == region && at["role"] == role)
}
