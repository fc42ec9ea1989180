//! Read requests, as bytes.

use crate::bench::{data, http_load};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;

/// How many different requests a load draws from: so many that no cache of the processor holds all their rows.
pub const VARIETY: usize = 4_096;

/// Returns Feast reads of this many entities each, drawn by `next`.
pub fn feast_reads(view: &str, entities: usize, variety: usize, mut next: impl FnMut() -> u64) -> Arc<[Bytes]> {
    let features: Vec<_> = (0..data::FEATURES).map(|feature| format!("{view}:f{feature}")).collect();
    let request = |_| {
        let ids: Vec<_> = (0..entities).map(|_| next()).collect();
        let body = json!({ "features": features, "entities": { "bench_id": ids } });
        http_load::post("/get-online-features", &body.to_string())
    };
    (0..variety).map(request).collect()
}

/// Returns a generator of ids below a bound, all equally likely.
pub fn uniform(bound: u64, seed: u64) -> impl FnMut() -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    move || random.u64(..bound)
}
