//! Return to a preferred leader address: while the edge follows a less preferred address, it
//! checks those before it.

use crate::shared::Shared;
use littoral_feed::client::{self, Config};
use littoral_model::{
    status::{NodeStatus, Role},
    token::Watermark,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Returns when an address before `current` has everything that was held here at the first check.
/// Never returns if there is no such address.
pub(crate) async fn preferred_address(shared: Arc<Shared>, current: usize) {
    let every = Duration::from_millis(shared.config.home_check_ms);
    let before: Vec<String> = shared.config.leader.leader.iter().take(current).cloned().collect();
    if before.is_empty() || every.is_zero() {
        return std::future::pending().await;
    }
    let config = &shared.config.leader;
    // Use the watermark of the first check, because newer records always take a moment to reach
    // the other address.
    let mut wanted = None;
    loop {
        sleep(every).await;
        let Some(replica) = shared.replica.load_full() else { continue };
        let wanted = wanted.get_or_insert_with(|| replica.point.load().portable_watermark.clone());
        // Check all of them, because the first of several members may answer without leading.
        for address in &before {
            if has(address, config, wanted, shared.config.fresh_lag_ms_max).await {
                return;
            }
        }
    }
}

async fn has(address: &str, config: &Config, wanted: &Watermark, lag_ms_max: u64) -> bool {
    let Ok(calls) = client::connect_calls(address, config).await else { return false };
    calls.status().await.is_ok_and(|status| is_preferred(&status, wanted, lag_ms_max))
}

/// Returns whether a node can be followed and has everything wanted. A member that does not lead
/// has everything too, but serves no feed. A relay without a leader serves a feed without new
/// records.
fn is_preferred(status: &NodeStatus, wanted: &Watermark, lag_ms_max: u64) -> bool {
    let is_fresh = status.staleness_ms.is_some_and(|lag| lag <= lag_ms_max);
    status.ready && is_fresh && status.role != Role::Follower && status.covers(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::position::{Epoch, Incarnation, Lsn, Position};

    #[test]
    fn an_address_is_preferred_if_it_has_everything_and_leads_or_relays() {
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
            lineages: littoral_model::lineage::RegionLineages::default(),
            regions: Vec::new(),
            views: Vec::new(),
            modules: Vec::new(),
            gauges: Default::default(),
        };
        let wanted = Watermark::at("eu".parse().unwrap(), Incarnation(1), Lsn(7));
        assert!(is_preferred(&status(Role::Leader, true, 7), &wanted, 100));
        assert!(is_preferred(&status(Role::Edge, true, 8), &wanted, 100));
        assert!(!is_preferred(&status(Role::Follower, true, 8), &wanted, 100), "it rejects subscribers");
        assert!(!is_preferred(&status(Role::Leader, false, 8), &wanted, 100));
        assert!(!is_preferred(&status(Role::Leader, true, 6), &wanted, 100));
        for staleness_ms in [None, Some(101)] {
            let stale = NodeStatus { staleness_ms, ..status(Role::Edge, true, 8) };
            assert!(!is_preferred(&stale, &wanted, 100), "a relay without its leader");
        }
    }
}
