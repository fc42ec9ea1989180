//! What the leader says of itself.

use crate::shared::Shared;
use littoral_model::status::{ModuleStatus, NodeStatus, Role, ViewStatus};
use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

pub(crate) fn status(shared: &Shared) -> NodeStatus {
    let published = shared.published.load_full();
    let catalogue = &published.catalogue;
    let views = catalogue.views().map(|view| {
        let counts = shared.table.counts(view.id);
        ViewStatus { name: view.name.clone(), residency: "full".to_owned(), rows: counts.rows, bytes: counts.bytes }
    });
    let modules = catalogue.modules().map(|module| ModuleStatus {
        name: module.name.clone(),
        version: module.version.clone(),
        digest: module.digest.to_string(),
        ready: shared.runtime.is_ready(module.digest),
    });
    let bounds = shared.log.bounds();
    let gauges = BTreeMap::from([
        ("log_bytes".to_owned(), shared.log.bytes() as f64),
        ("log_bytes_appended".to_owned(), shared.appended_bytes.load(Relaxed) as f64),
        ("commits".to_owned(), shared.commits.load(Relaxed) as f64),
        ("log_oldest_lsn".to_owned(), bounds.oldest.0 as f64),
        ("snapshot_lsn".to_owned(), shared.snapshot_lsn.load(Relaxed) as f64),
        ("queue_depth".to_owned(), shared.queue.len() as f64),
    ]);
    NodeStatus {
        name: shared.config.name.clone(),
        role: Role::Leader,
        region: shared.identity.region,
        ready: true,
        not_ready_reason: String::new(),
        degraded: None,
        epoch: shared.epoch,
        position: published.position,
        head: published.position,
        staleness_ms: Some(0),
        writable: shared.trouble.lock().is_none(),
        watermark: shared.told(),
        regions: shared.exchange.status(),
        views: views.collect(),
        modules: modules.collect(),
        gauges,
    }
}
