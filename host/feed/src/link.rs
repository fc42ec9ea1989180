//! What this node sends to the peers of one region: counts it, and keeps within `feed.bandwidth_max`.

use crate::bandwidth::Bandwidth;
use littoral_model::region::Region;
use littoral_runtime::{Occasional, metrics::region_label};
use metrics::Counter;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};

/// The way to the peers of one region. All of their streams share its limit.
#[derive(Debug)]
pub(crate) struct Link {
    sent: Counter,
    uncompressed: Counter,
    limit: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    region: Region,
    bandwidth: Mutex<Bandwidth>,
    /// Whose snapshot sends the next block: in turn, so that several snapshots do not use up the rate at once.
    snapshots: Semaphore,
    records_waits: Counter,
    snapshot_waits: Counter,
    warned: Occasional,
}

/// The links of a server that have a limit.
#[derive(Debug)]
pub(crate) struct Links(Mutex<BTreeMap<Region, Arc<Link>>>);

// === impl Links ===

impl Links {
    /// Creates the links with a limit, in bytes a second.
    pub(crate) fn new(bandwidth_max: &BTreeMap<Region, u64>) -> Self {
        let links = Self(Mutex::default());
        links.set(bandwidth_max);
        links
    }

    /// Changes the limits. A limit that is changed or removed applies at once, a new one to streams that begin later.
    pub(crate) fn set(&self, bandwidth_max: &BTreeMap<Region, u64>) {
        let mut links = self.0.lock();
        links.retain(|region, link| {
            let per_s = bandwidth_max.get(region);
            if let Some(limit) = &link.limit {
                limit.bandwidth.lock().set(per_s.copied().unwrap_or(u64::MAX));
            }
            per_s.is_some()
        });
        for (region, per_s) in bandwidth_max {
            links.entry(*region).or_insert_with(|| Arc::new(Link::new(Some(*region), Some(*per_s))));
        }
    }

    /// Returns the link to the peers of this region; `None` if a peer's region is not known.
    pub(crate) fn to(&self, region: Option<Region>) -> Arc<Link> {
        let limited = region.and_then(|region| self.0.lock().get(&region).cloned());
        limited.unwrap_or_else(|| Arc::new(Link::new(region, None)))
    }
}

// === impl Link ===

impl Link {
    fn new(region: Option<Region>, per_s: Option<u64>) -> Self {
        let label = region.map_or_else(|| "unknown".to_owned(), |region| region_label(region.as_str()));
        let waits = |what: &'static str| {
            let labels = [("region", label.clone()), ("what", what.to_owned())];
            metrics::counter!("littoral_feed_bandwidth_waits_total", &labels)
        };
        let limit = region.zip(per_s).map(|(region, per_s)| Limit {
            region,
            bandwidth: Mutex::new(Bandwidth::new(per_s)),
            snapshots: Semaphore::new(1),
            records_waits: waits("records"),
            snapshot_waits: waits("snapshot"),
            warned: Occasional::default(),
        });
        Self {
            sent: metrics::counter!("littoral_peer_sent_bytes_total", "region" => label.clone()),
            uncompressed: metrics::counter!("littoral_peer_uncompressed_bytes_total", "region" => label.clone()),
            limit,
        }
    }

    /// Creates a link that neither counts nor limits.
    pub(crate) fn uncounted() -> Self {
        Self { sent: Counter::noop(), uncompressed: Counter::noop(), limit: None }
    }

    /// Notes that bytes wait to be sent.
    pub(crate) fn queued(&self, bytes: usize) {
        if let Some(limit) = &self.limit {
            limit.bandwidth.lock().sent(bytes, now());
        }
    }

    /// Notes that this many of the bytes that were queued are records, or a checkpoint.
    pub(crate) fn records_queued(&self, bytes: usize) {
        if let Some(limit) = &self.limit {
            limit.bandwidth.lock().records_sent(bytes, now());
        }
    }

    /// Counts bytes that HTTP/2 has taken, and what they were before compression.
    pub(crate) fn sent(&self, bytes: usize, uncompressed: usize) {
        self.sent.increment(bytes as u64);
        self.uncompressed.increment(uncompressed as u64);
    }

    /// Waits until records may be sent.
    pub(crate) async fn records_may_go(&self) {
        let Some(limit) = &self.limit else { return };
        let mut waits = 0_u64;
        loop {
            let (wait, per_s) = {
                let mut bandwidth = limit.bandwidth.lock();
                (bandwidth.records_wait(now()), bandwidth.per_s())
            };
            if wait.is_zero() {
                return;
            }
            if waits == 0 {
                limit.records_waits.increment(1);
                if limit.warned.take_turn() {
                    tracing::warn!(
                        region = %limit.region,
                        bytes_per_second = per_s,
                        "the link to a region is saturated: its nodes fall behind, because records need more than \
                         feed.bandwidth_max; raise it, or let one relay subscribe for the region's edges"
                    );
                }
            }
            waits += 1;
            sleep(wait).await;
        }
    }

    /// Waits until a snapshot's rows may be sent. The next snapshot waits until the result is dropped.
    pub(crate) async fn snapshot_may_go(&self) -> Option<SemaphorePermit<'_>> {
        let limit = self.limit.as_ref()?;
        // The semaphore is never closed.
        let turn = limit.snapshots.acquire().await.ok()?;
        let mut waited = Duration::ZERO;
        loop {
            let wait = limit.bandwidth.lock().snapshot_wait(now());
            if wait.is_zero() {
                return Some(turn);
            }
            if waited.is_zero() {
                limit.snapshot_waits.increment(1);
            }
            waited += wait;
            sleep(wait).await;
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_limit_can_be_changed_and_removed_while_streams_use_it() {
        let (us, asia) = ("us".parse().unwrap(), "asia".parse().unwrap());
        let links = Links::new(&[(us, 1)].into());
        let link = links.to(Some(us));
        link.queued(1_000_000);
        link.records_queued(1_000_000);
        let wait = || link.limit.as_ref().unwrap().bandwidth.lock().records_wait(now());
        assert!(wait() > Duration::from_secs(900_000));
        links.set(&[(us, 1_000_000), (asia, 7)].into());
        assert!(wait() < Duration::from_secs(2) && links.to(Some(asia)).limit.is_some());
        assert!(Arc::ptr_eq(&link, &links.to(Some(us))), "streams that begin later share the limit");
        links.set(&BTreeMap::new());
        link.records_may_go().await;
        assert!(link.snapshot_may_go().await.is_some());
        assert!(links.to(Some(us)).limit.is_none() && links.to(None).limit.is_none());
    }
}
