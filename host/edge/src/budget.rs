//! Keeping full views within their memory.

use crate::{config::Config, replica::Replica};
use littoral_replica::Residency;

/// When full views outgrow their memory, the largest becomes resident, until the rest fits. Nothing is dropped silently:
/// status, answers of the view, a metric and the log all say so.
pub(crate) fn enforce(replica: &Replica, config: &Config) {
    loop {
        let full: Vec<_> =
            replica.table.views().into_iter().filter(|(_, residency, _)| *residency == Residency::Full).collect();
        let bytes: u64 = full.iter().map(|(_, _, counts)| counts.bytes).sum();
        let largest = full.into_iter().max_by_key(|(_, _, counts)| counts.bytes);
        let Some((view, _, counts)) = largest.filter(|_| bytes > config.full_bytes_max) else { return };
        let catalogue = replica.point.load().catalogue.clone();
        let name = catalogue.view_by_id(view).map_or_else(|| view.to_string(), |view| view.name.clone());
        tracing::warn!(
            view = %name,
            rows = counts.rows,
            view_bytes = counts.bytes,
            full_bytes = bytes,
            full_bytes_max = config.full_bytes_max,
            "full views outgrew their memory: this one is served as resident from now on; raise full_bytes_max to hold it whole"
        );
        metrics::counter!("littoral_edge_views_degraded_total").increment(1);
        replica.degrade(view);
    }
}
