//! The leader's status, shortfalls and gauges.

use crate::{replication::RowFreshness, shared::Shared};
use littoral_model::{
    lineage::RegionLineages,
    position::Lsn,
    status::{ModuleStatus, NodeStatus, Role, Shortfalls, ViewStatus},
};
use littoral_runtime::metrics::ViewGauges;
use metrics::gauge;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often gauges are set.
const GAUGES_INTERVAL: Duration = Duration::from_secs(1);

/// How far a member may be behind the leader and still count as fresh.
const FOLLOWER_LAG_MAX: Duration = Duration::from_secs(5);

/// Rounds up, so that a reported bound is never too small.
fn ms_up(span: Duration) -> u64 {
    span.as_micros().div_ceil(1_000) as u64
}

/// Returns the role that the status shows.
fn role(RowFreshness { leads, .. }: RowFreshness) -> Role {
    if leads { Role::Leader } else { Role::Follower }
}

/// Returns why writes that reach this node are rejected.
fn not_writable(shared: &Shared) -> Option<String> {
    if !shared.leads() {
        let forwards = shared.replication.role().borrow().leader().is_some_and(|leader| leader.calls.is_connected());
        return (!forwards).then(|| "no member is known to lead".to_owned());
    }
    shared.writes.health.reason().or_else(|| shared.affiliation.may_write(shared).err())
}

pub(crate) fn shortfalls(shared: &Shared) -> Shortfalls {
    let RowFreshness { leads, staleness } = shared.freshness(&shared.applied.load());
    let is_fresh = leads || staleness.is_some_and(|staleness| staleness <= FOLLOWER_LAG_MAX);
    Shortfalls {
        not_fresh: (!is_fresh).then(|| "this member does not hear a leader".to_owned()),
        not_writable: not_writable(shared),
    }
}

pub(crate) fn status(shared: &Shared) -> NodeStatus {
    let published = shared.applied.load_full();
    let catalogue = &published.catalogue;
    let views = catalogue.views().map(|view| {
        let counts = shared.applied.table.counts(view.id);
        ViewStatus { name: view.name.clone(), residency: "full".to_owned(), rows: counts.rows, bytes: counts.bytes }
    });
    let modules = catalogue.modules().map(|module| ModuleStatus {
        name: module.name.clone(),
        version: module.version.clone(),
        digest: module.digest.to_string(),
        ready: shared.modules.sandbox.is_ready(module.digest),
    });
    let bounds = shared.log.bounds();
    let freshness = shared.freshness(&published);
    // A member that joins with an empty log has no rows until it hears from a leader.
    let is_empty = !freshness.leads && freshness.staleness.is_none() && published.position.lsn == Lsn::NONE;
    let not_ready_reason = match shared.affiliation.has_all(shared) {
        _ if is_empty => "this member has no records yet and does not hear a leader".to_owned(),
        Err(reason) => reason,
        Ok(()) => String::new(),
    };
    let mut gauges = BTreeMap::from([
        ("log_bytes".to_owned(), shared.log.bytes() as f64),
        ("log_bytes_appended".to_owned(), shared.writes.appended_bytes() as f64),
        ("commits".to_owned(), shared.writes.batches() as f64),
        ("log_oldest_lsn".to_owned(), bounds.oldest.0 as f64),
        ("snapshot_lsn".to_owned(), shared.snapshots.newest().0 as f64),
        ("queue_depth".to_owned(), shared.writes.queue.len() as f64),
        ("clock_ms".to_owned(), shared.now_ms() as f64),
        ("protocol_version".to_owned(), shared.config.protocol_version.number().into()),
    ]);
    gauges.extend(shared.replication.gauges());
    NodeStatus {
        name: shared.config.name.clone(),
        role: role(freshness),
        region: shared.identity.region,
        ready: not_ready_reason.is_empty(),
        not_ready_reason,
        degraded: None,
        epoch: shared.epoch(),
        position: published.position,
        head: published.position,
        staleness_ms: freshness.staleness.map(ms_up),
        writable: not_writable(shared).is_none(),
        watermark: shared.watermark(),
        lineages: RegionLineages::clone(&published.lineages),
        regions: shared.cross_region.status(),
        views: views.collect(),
        modules: modules.collect(),
        gauges,
    }
}

/// Sets gauges until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(GAUGES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut views = ViewGauges::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Shortfalls { not_fresh, not_writable } = shortfalls(&shared);
        gauge!("littoral_leader_fresh").set(f64::from(not_fresh.is_none()));
        gauge!("littoral_leader_writable").set(f64::from(not_writable.is_none()));
        let status = status(&shared);
        gauge!("littoral_leader_leading").set(f64::from(status.role == Role::Leader));
        gauge!("littoral_leader_epoch").set(status.epoch.0 as f64);
        gauge!("littoral_leader_head_lsn").set(status.head.lsn.0 as f64);
        gauge!("littoral_leader_log_size_bytes").set(shared.log.bytes() as f64);
        gauge!("littoral_leader_log_oldest_lsn").set(shared.log.bounds().oldest.0 as f64);
        gauge!("littoral_leader_rows_bytes").set(shared.applied.table.bytes() as f64);
        gauge!("littoral_leader_rows_max_bytes").set(shared.limits.rows_bytes_max as f64);
        for region in &status.regions {
            let name = region.region.to_string();
            gauge!("littoral_leader_region_connected", "region" => name.clone()).set(f64::from(region.connected));
            let missing = match region.head.incarnation == region.applied.incarnation {
                true => region.head.lsn.0.saturating_sub(region.applied.lsn.0),
                false => region.head.lsn.0,
            };
            gauge!("littoral_leader_region_lag_records", "region" => name.clone()).set(missing as f64);
            if let Some(ms) = region.behind_ms {
                gauge!("littoral_leader_region_lag_seconds", "region" => name).set(ms as f64 / 1e3);
            }
        }
        views.set(status.views.iter().map(|view| (&*view.name, &*view.residency, view.rows, view.bytes)));
        shared.replication.record_metrics();
    }
}
