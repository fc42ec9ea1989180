//! What the leader says of itself.

use crate::shared::Shared;
use littoral_lease::StoreState;
use littoral_model::status::{ModuleStatus, NodeStatus, Role, ViewStatus};
use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

/// How far a member may be behind the leader and still count as ready.
const FOLLOWER_LAG_MAX: Duration = Duration::from_secs(5);

/// Rounded up: never less than the truth.
fn ms_up(span: Duration) -> u64 {
    span.as_micros().div_ceil(1_000) as u64
}

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
    let takes_writes = shared.trouble.lock().is_none() && shared.files_gone.lock().is_none();
    let (role, staleness_ms, writable, not_ready_reason) = match &shared.members {
        None => (Role::Leader, Some(0), takes_writes, String::new()),
        Some(part) if part.leads_surely() => {
            let (behind, _) = part.freshness(&published);
            (Role::Leader, behind.map(ms_up), takes_writes, String::new())
        }
        Some(part) => {
            let staleness = part.staleness();
            let fresh = staleness.is_some_and(|staleness| staleness <= FOLLOWER_LAG_MAX);
            let reason = if fresh { String::new() } else { "this member does not hear of a leader".to_owned() };
            let leads_on = part.leader().is_some_and(|leader| leader.calls.is_connected());
            (Role::Follower, staleness.map(ms_up), leads_on, reason)
        }
    };
    let mut gauges = BTreeMap::from([
        ("log_bytes".to_owned(), shared.log.bytes() as f64),
        ("log_bytes_appended".to_owned(), shared.appended_bytes.load(Relaxed) as f64),
        ("commits".to_owned(), shared.commits.load(Relaxed) as f64),
        ("log_oldest_lsn".to_owned(), bounds.oldest.0 as f64),
        ("snapshot_lsn".to_owned(), shared.snapshot_lsn.load(Relaxed) as f64),
        ("queue_depth".to_owned(), shared.queue.len() as f64),
    ]);
    if let Some(part) = &shared.members {
        gauges.insert("log_tail_lsn".to_owned(), bounds.tail.0 as f64);
        gauges.insert("promised_epoch".to_owned(), part.promised().0 as f64);
        let lost = matches!(*part.lease.store().borrow(), StoreState::Lost(_));
        gauges.insert("lease_store_lost".to_owned(), f64::from(u8::from(lost)));
        for (name, heard) in part.followers(FOLLOWER_LAG_MAX) {
            gauges.insert(format!("member_heard/{name}"), f64::from(u8::from(heard)));
        }
    }
    NodeStatus {
        name: shared.config.name.clone(),
        role,
        region: shared.identity.region,
        ready: not_ready_reason.is_empty(),
        not_ready_reason,
        degraded: None,
        epoch: shared.epoch(),
        position: published.position,
        head: published.position,
        staleness_ms,
        writable,
        watermark: shared.told(),
        regions: shared.exchange.status(),
        views: views.collect(),
        modules: modules.collect(),
        gauges,
    }
}
