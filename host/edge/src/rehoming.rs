//! The way back: while a less preferred address is followed, those before it are looked at.

use crate::shared::Shared;
use littoral_feed::client::{self, Config};
use littoral_model::{
    status::{NodeStatus, Role},
    token::Watermark,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Returns when an address before `current` has everything that was here when it was first asked; never, when there is none.
pub(crate) async fn better_place(shared: Arc<Shared>, current: usize) {
    let every = Duration::from_millis(shared.config.home_check_ms);
    let before: Vec<String> = shared.config.leader.leader.iter().take(current).cloned().collect();
    if before.is_empty() || every.is_zero() {
        return std::future::pending().await;
    }
    let config = &shared.config.leader;
    // What was here at the first look: what comes in the meantime is always a little ahead of who must fetch it too.
    let mut wanted = None;
    loop {
        sleep(every).await;
        let Some(replica) = shared.replica.load_full() else { continue };
        let wanted = wanted.get_or_insert_with(|| replica.point.load().told.clone());
        // All of them: of several members the first may answer and not lead.
        for address in &before {
            if has(address, config, wanted, shared.config.fresh_lag_ms_max).await {
                return;
            }
        }
    }
}

async fn has(address: &str, config: &Config, wanted: &Watermark, lag_ms_max: u64) -> bool {
    let Ok(calls) = client::connect_calls(address, config).await else { return false };
    calls.status().await.is_ok_and(|status| is_better(&status, wanted, lag_ms_max))
}

/// A member that does not lead has everything too, and serves no feed. A relay that does not hear its leader serves one that
/// brings nothing new.
fn is_better(status: &NodeStatus, wanted: &Watermark, lag_ms_max: u64) -> bool {
    let is_fresh = status.staleness_ms.is_some_and(|lag| lag <= lag_ms_max);
    status.ready && is_fresh && status.role != Role::Follower && status.covers(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::position::{Epoch, Incarnation, Lsn, Position};

    #[test]
    fn a_place_is_better_when_it_has_everything_and_leads_or_relays() {
        let status = |role, ready, lsn| NodeStatus {
            name: "m1".to_owned(),
            role,
            region: "eu".parse().unwrap(),
            ready,
            not_ready_reason: String::new(),
            degraded: None,
            epoch: Epoch(1),
            position: Position::default(),
            head: Position::default(),
            staleness_ms: Some(0),
            writable: true,
            watermark: Watermark::at("eu".parse().unwrap(), Incarnation(1), Lsn(lsn)),
            lives: littoral_model::lives::RegionLives::default(),
            regions: Vec::new(),
            views: Vec::new(),
            modules: Vec::new(),
            gauges: Default::default(),
        };
        let wanted = Watermark::at("eu".parse().unwrap(), Incarnation(1), Lsn(7));
        assert!(is_better(&status(Role::Leader, true, 7), &wanted, 100));
        assert!(is_better(&status(Role::Edge, true, 8), &wanted, 100));
        assert!(!is_better(&status(Role::Follower, true, 8), &wanted, 100), "it refuses who subscribes");
        assert!(!is_better(&status(Role::Leader, false, 8), &wanted, 100));
        assert!(!is_better(&status(Role::Leader, true, 6), &wanted, 100));
        for staleness_ms in [None, Some(101)] {
            let stale = NodeStatus { staleness_ms, ..status(Role::Edge, true, 8) };
            assert!(!is_better(&stale, &wanted, 100), "a relay that does not hear its leader");
        }
    }
}
