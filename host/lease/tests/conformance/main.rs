//! One suite for every store of leases, and what is special to each.

#[path = "../support/mod.rs"]
mod support;

mod directory;
mod etcd;
mod identity;
mod s3;
mod suite;

use littoral_lease::{Claim, Committed, Holder};
use littoral_model::position::Epoch;

/// A claim of one holder. Two with the same arguments are equal, so that tests take care to vary them as holders do.
fn claim(name: &str, epoch: u64, attempt: u64) -> Claim {
    Claim {
        epoch: Epoch(epoch),
        holder: Holder { name: name.into(), life: 7 },
        attempt,
        // No store lets it run out while a slow machine is between two steps of a test.
        term_ms: 120_000,
        released: false,
        contact: format!("{name}.example:1"),
        committed: Committed::default(),
        store: None,
    }
}
