//! What the leader says of itself.

use crate::shared::Shared;
use littoral_lease::StoreState;
use littoral_model::status::{ModuleStatus, NodeStatus, Role, Shortfalls, ViewStatus};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often gauges are set.
const GAUGES_INTERVAL: Duration = Duration::from_secs(1);

/// How far a member may be behind the leader and still count as fresh.
const FOLLOWER_LAG_MAX: Duration = Duration::from_secs(5);

/// Rounded up: never less than the truth.
fn ms_up(span: Duration) -> u64 {
    span.as_micros().div_ceil(1_000) as u64
}

/// What it is now, and how far it is behind at most.
fn standing(shared: &Shared) -> (Role, Option<Duration>) {
    match &shared.members {
        None => (Role::Leader, Some(Duration::ZERO)),
        Some(part) if part.leads_surely() => (Role::Leader, part.freshness(&shared.published.load()).0),
        Some(part) => (Role::Follower, part.staleness()),
    }
}

/// Why writes that reach it are refused.
fn not_writable(shared: &Shared) -> Option<String> {
    match &shared.members {
        Some(part) if !part.leads_surely() => {
            let passes_on = part.leader().is_some_and(|leader| leader.calls.is_connected());
            (!passes_on).then(|| "no member is known to lead".to_owned())
        }
        _ => {
            let gone = shared.files_gone.lock().as_ref().map(|gone| format!("files of the log are gone: {gone}"));
            let trouble = || shared.trouble.lock().as_ref().map(|trouble| format!("the log refuses writes: {trouble}"));
            gone.or_else(trouble).or_else(|| shared.standing.may_write(shared).err())
        }
    }
}

pub(crate) fn shortfalls(shared: &Shared) -> Shortfalls {
    let (role, staleness) = standing(shared);
    let fresh = role == Role::Leader || staleness.is_some_and(|staleness| staleness <= FOLLOWER_LAG_MAX);
    Shortfalls {
        not_fresh: (!fresh).then(|| "this member does not hear of a leader".to_owned()),
        not_writable: not_writable(shared),
    }
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
    let (role, staleness) = standing(shared);
    // A member that joins with an empty log has nothing to answer with before it hears of a leader.
    let is_empty = role == Role::Follower && staleness.is_none() && published.position.lsn.0 == 0;
    let not_ready_reason = match shared.standing.has_all(shared) {
        _ if is_empty => "this member has no records yet, and hears of no leader".to_owned(),
        Err(reason) => reason,
        Ok(()) => String::new(),
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
        staleness_ms: staleness.map(ms_up),
        writable: not_writable(shared).is_none(),
        watermark: shared.told(),
        lives: littoral_model::lives::RegionLives::clone(&published.lives),
        regions: shared.exchange.status(),
        views: views.collect(),
        modules: modules.collect(),
        gauges,
    }
}

/// Sets gauges until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(GAUGES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Shortfalls { not_fresh, not_writable } = shortfalls(&shared);
        metrics::gauge!("littoral_leader_fresh").set(f64::from(u8::from(not_fresh.is_none())));
        metrics::gauge!("littoral_leader_writable").set(f64::from(u8::from(not_writable.is_none())));
    }
}
