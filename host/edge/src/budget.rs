//! Reporting views that have outgrown their memory.

use littoral_edge_core::{Holdings, Outgrown, Replica, enforce};

/// Says what has become resident.
pub(crate) fn report(outgrown: &[Outgrown], full_bytes_max: u64) {
    for Outgrown { view, rows, view_bytes, full_bytes } in outgrown {
        tracing::warn!(
            %view,
            rows,
            view_bytes,
            full_bytes,
            full_bytes_max,
            "full views outgrew their memory: this one is served as resident from now on; raise full_bytes_max to hold it whole"
        );
        metrics::counter!("littoral_edge_views_degraded_total").increment(1);
    }
}

/// Keeps a replica that is not served yet within its memory.
pub(crate) fn enforce_on(replica: &Replica, holdings: &Holdings) {
    report(&enforce(replica, holdings), holdings.full_bytes_max);
}
