//! Reports views that exceed their memory budget.

use littoral_edge_core::{Holdings, Outgrown, Replica, enforce};

/// Logs the views that have become resident.
pub(crate) fn report(outgrown: &[Outgrown], full_bytes_max: u64) {
    for Outgrown { view, rows, view_bytes, full_bytes } in outgrown {
        tracing::warn!(
            %view,
            rows,
            view_bytes,
            full_bytes,
            full_bytes_max,
            "full views exceed their memory budget: this view is resident from now on; raise full_bytes_max to hold it in full"
        );
        metrics::counter!("littoral_edge_views_degraded_total").increment(1);
    }
}

/// Enforces the memory budget on a replica that is not served yet.
pub(crate) fn enforce_on(replica: &Replica, holdings: &Holdings) {
    report(&enforce(replica, holdings), holdings.full_bytes_max);
}
