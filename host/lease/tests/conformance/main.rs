//! One suite for every lease store, and tests that are specific to each.

#[path = "../support/mod.rs"]
mod support;

mod directory;
mod etcd;
mod identity;
mod s3;
mod suite;

use littoral_lease::{Claim, Committed, Holder};
use littoral_model::position::Epoch;

/// Creates a claim of one holder. Claims with the same arguments are equal, so tests vary them as holders do.
fn claim(name: &str, epoch: u64, attempt: u64) -> Claim {
    Claim {
        epoch: Epoch(epoch),
        holder: Holder { name: name.into(), process: 7 },
        attempt,
        // Long enough that no store lets it expire between two steps of a test on a slow machine.
        term_ms: 120_000,
        released: false,
        contact: format!("{name}.example:1"),
        committed: Committed::default(),
        store: None,
    }
}
