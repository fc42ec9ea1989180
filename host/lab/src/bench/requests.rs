//! Read requests as bytes.

use crate::bench::{data, http_load, random::Random};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;

/// How many different requests a load draws from: enough that no cache of the processor holds all of their rows.
pub const VARIETY: usize = 4_096;

/// Feast reads of this many entities each, which `next` draws.
pub fn feast_reads(view: &str, entities: usize, variety: usize, mut next: impl FnMut() -> u64) -> Arc<[Bytes]> {
    let features: Vec<_> = (0..data::FEATURES).map(|feature| format!("{view}:f{feature}")).collect();
    let request = |_| {
        let ids: Vec<_> = (0..entities).map(|_| next()).collect();
        let body = json!({ "features": features, "entities": { "bench_id": ids } });
        http_load::post("/get-online-features", &body.to_string())
    };
    (0..variety).map(request).collect()
}

/// Ids below a bound, each as likely as the others.
pub fn uniform(bound: u64, seed: u64) -> impl FnMut() -> u64 {
    let mut random = Random::new(seed);
    move || random.below(bound)
}
