//! Status and metrics of an edge.

use crate::{replica::Replica, shared::Shared};
use littoral_edge_core::Holding;
use littoral_model::{
    freshness::Degraded,
    lineage::RegionLineages,
    position::{Epoch, Position},
    region::Region,
    status::{ModuleStatus, NodeStatus, Role, Shortfalls, ViewStatus},
    token::Watermark,
};
use littoral_protocol::readiness;
use littoral_runtime::metrics::ViewGauges;
use metrics::{counter, gauge};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The interval at which gauges are updated.
const GAUGES_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn status(shared: &Shared) -> NodeStatus {
    let replica = shared.replica.load_full();
    let point = replica.as_ref().map(|replica| replica.point.load_full());
    let staleness = shared.staleness();
    let ready = readiness::may_serve(replica.is_some());
    let views = replica.as_ref().map_or_else(Vec::new, |replica| views(replica));
    let over_budget =
        replica.as_ref().is_some_and(|replica| replica.routes.load().values().any(|route| route.over_budget));
    let degraded = match () {
        () if replica.is_none() => Some(Degraded::Bootstrapping),
        () => shared.apart().or(over_budget.then_some(Degraded::OverBudget)),
    };
    let modules = (shared.served.load().modules())
        .map(|module| ModuleStatus {
            name: module.name.clone(),
            version: module.version.clone(),
            digest: module.digest.to_string(),
            ready: shared.runtime.is_ready(module.digest),
        })
        .collect();
    let position = point.as_ref().map_or_else(Position::default, |point| point.resume.position);
    let watermark = point.as_ref().map_or_else(Watermark::default, |point| point.portable_watermark.clone());
    let head = shared.head();
    let one_log = point.as_ref().is_some_and(|point| point.lineages.is_one_log(head, position));
    let lag = if one_log { head.lsn.0.saturating_sub(position.lsn.0) } else { 0 };
    let verified = shared.anti_entropy.verified(shared.now());
    let mut gauges = BTreeMap::from([
        ("lag_records".to_owned(), lag as f64),
        ("rows".to_owned(), views.iter().map(|view| view.rows).sum::<u64>() as f64),
        ("row_bytes".to_owned(), views.iter().map(|view| view.bytes).sum::<u64>() as f64),
        ("fills_waiting".to_owned(), shared.fills.waiting() as f64),
        ("protocol_version".to_owned(), shared.config.leader.version.number().into()),
    ]);
    gauges.insert("repairing".to_owned(), f64::from(shared.anti_entropy.rounds.lock().is_repairing()));
    if let Some((lsn, age)) = verified {
        gauges.insert("proven_lsn".to_owned(), lsn.0 as f64);
        gauges.insert("proven_age_ms".to_owned(), age.as_millis() as f64);
    }
    NodeStatus {
        name: shared.config.name.clone(),
        role: Role::Edge,
        region: shared.config.region.or_else(|| point.as_ref().map(|point| point.region)).unwrap_or(Region::NONE),
        ready: ready.is_ok(),
        not_ready_reason: ready.err().map_or_else(String::new, |reason| reason.to_string()),
        degraded,
        epoch: point.as_ref().map_or(Epoch(0), |point| point.epoch),
        position,
        head,
        // Rounded up, as in answers, so that it is never too small.
        staleness_ms: staleness.map(|staleness| staleness.as_nanos().div_ceil(1_000_000) as u64),
        writable: shared.link.is_connected() && !shared.leader_lost(),
        watermark,
        lineages: point.as_ref().map_or_else(RegionLineages::default, |point| RegionLineages::clone(&point.lineages)),
        regions: Vec::new(),
        views,
        modules,
        gauges,
    }
}

pub(crate) fn shortfalls(shared: &Shared) -> Shortfalls {
    let fresh = readiness::is_fresh(shared.staleness(), shared.config.fresh_lag_max());
    let forwards = shared.link.is_connected() && !shared.leader_lost();
    Shortfalls {
        not_fresh: fresh.err().map(|stale| stale.to_string()),
        not_writable: (!forwards)
            .then(|| "the leader, to which writes are forwarded, is not connected or silent".to_owned()),
    }
}

fn views(replica: &Replica) -> Vec<ViewStatus> {
    let routes = replica.routes.load();
    let catalogue = replica.point.load().catalogue.clone();
    (catalogue.views())
        .map(|view| {
            let counts = replica.table.counts(view.id);
            let residency = match routes.get(&view.id).map(|route| route.holding) {
                Some(Holding::Full) => "full",
                Some(Holding::Resident) => "resident",
                Some(Holding::Elsewhere) | None => "leader",
                Some(Holding::Outside) => "outside",
            };
            ViewStatus {
                name: view.name.clone(),
                residency: residency.to_owned(),
                rows: counts.rows,
                bytes: counts.bytes,
            }
        })
        .collect()
}

/// Updates gauges until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(GAUGES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gauges = Gauges { home: shared.config.region, ..Gauges::default() };
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        gauges.set(&shared);
    }
}

/// What the gauges need to know from one update to the next.
#[derive(Default)]
struct Gauges {
    /// The configured region, or else the first one whose log the edge followed.
    home: Option<Region>,
    views: ViewGauges,
}

impl Gauges {
    fn set(&mut self, shared: &Shared) {
        let status = status(shared);
        gauge!("littoral_edge_ready").set(f64::from(status.ready));
        gauge!("littoral_edge_fresh").set(f64::from(shortfalls(shared).not_fresh.is_none()));
        gauge!("littoral_edge_leader_connected").set(f64::from(status.writable));
        gauge!("littoral_edge_epoch").set(status.epoch.0 as f64);
        gauge!("littoral_edge_position_lsn").set(status.position.lsn.0 as f64);
        gauge!("littoral_edge_head_lsn").set(status.head.lsn.0 as f64);
        gauge!("littoral_edge_lag_records").set(status.gauges.get("lag_records").copied().unwrap_or_default());
        // Not a number while unknown: a value of the past would look like one of now.
        let staleness = status.staleness_ms.map_or(f64::NAN, |ms| ms as f64 / 1e3);
        gauge!("littoral_edge_staleness_seconds").set(staleness);
        let verified = shared.anti_entropy.verified(shared.now()).map_or(f64::NAN, |(_, age)| age.as_secs_f64());
        gauge!("littoral_edge_verified_age_seconds").set(verified);
        gauge!("littoral_edge_fills_waiting").set(shared.fills.waiting() as f64);
        counter!("littoral_edge_evictions_total").absolute(littoral_replica::evictions());
        let region = shared.replica.load().as_ref().map(|replica| replica.point.load().region);
        self.home = self.home.or(region);
        gauge!("littoral_edge_away_from_home").set(f64::from(region.is_some() && region != self.home));
        let degraded = status.degraded.map(Degraded::as_str);
        for reason in Degraded::ALL.map(Degraded::as_str) {
            gauge!("littoral_edge_degraded", "reason" => reason).set(f64::from(degraded == Some(reason)));
        }
        let config = &shared.config;
        for (residency, bytes_max) in [("full", config.full_bytes_max), ("resident", config.resident_bytes_max)] {
            gauge!("littoral_edge_view_budget_bytes", "residency" => residency).set(bytes_max as f64);
        }
        self.views.set(status.views.iter().map(|view| (&*view.name, &*view.residency, view.rows, view.bytes)));
    }
}
