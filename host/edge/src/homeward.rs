//! The way back: while a less preferred address is followed, those before it are looked at.

use crate::shared::Shared;
use littoral_feed::client::{self, Config};
use littoral_model::token::Watermark;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Returns when an address before `current` has everything that was here when it was first asked; never, when there is none.
pub(crate) async fn better_place(shared: Arc<Shared>, current: usize) {
    let every = Duration::from_millis(shared.config.home_check_ms);
    let before: Vec<String> = shared.config.leader.leader.iter().take(current).cloned().collect();
    if before.is_empty() || every.is_zero() {
        return std::future::pending().await;
    }
    let config = Config { leader: before, ..shared.config.leader.clone() };
    // What was here at the first look: what comes in the meantime is always a little ahead of who must fetch it too.
    let mut wanted = None;
    loop {
        sleep(every).await;
        let Some(replica) = shared.replica.load_full() else { continue };
        let wanted = wanted.get_or_insert_with(|| replica.point.load().told.clone());
        if has(&config, wanted).await {
            return;
        }
    }
}

async fn has(config: &Config, wanted: &Watermark) -> bool {
    let Ok(connection) = client::connect(config).await else { return false };
    connection.calls.status().await.is_ok_and(|status| status.ready && status.watermark.covers(wanted))
}
