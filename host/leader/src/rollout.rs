//! How far each edge has applied the log, so that a client that uploads a module can wait until edges serve it.

use crate::shared::Shared;
use littoral_model::{
    ports::{ModulePut, Rollout},
    position::Lsn,
};
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How often the edges' positions are checked while a client waits for them.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Subscribers that answer reads, and the record up to which each does.
#[derive(Debug, Default)]
pub(crate) struct Edges(Mutex<HashMap<u64, Lsn>>);

impl Edges {
    /// Notes that a subscriber serves through this record; `None` when it has disconnected.
    pub(crate) fn serves_through(&self, subscriber: u64, through: Option<Lsn>) {
        let mut edges = self.0.lock();
        match through {
            Some(lsn) => edges.insert(subscriber, lsn),
            None => edges.remove(&subscriber),
        };
    }

    fn rollout(&self, lsn: Lsn) -> Rollout {
        let edges = self.0.lock();
        Rollout { ready: edges.values().filter(|through| **through >= lsn).count(), of: edges.len() }
    }
}

/// Waits until every edge serves a module. See [`littoral_model::ports::Node::rollout`].
pub(crate) async fn wait(shared: &Shared, put: &ModulePut, wait_max: Duration) -> Rollout {
    let deadline = Instant::now() + wait_max;
    // A release that another region's leader accepted arrives with its feed and has another LSN in this log.
    let position = put.receipt.position;
    let own =
        shared.applied.load().lineages.get(shared.identity.region).is_some_and(|own| own.lists(position.incarnation));
    let mut lsn = own.then_some(position.lsn);
    loop {
        if lsn.is_none() {
            let published = shared.applied.load();
            let is_applied = published.catalogue.modules().any(|module| module.digest == put.digest);
            lsn = is_applied.then_some(published.position.lsn);
        }
        let rollout = shared.edges.rollout(lsn.unwrap_or(Lsn(u64::MAX)));
        if rollout.is_whole() || Instant::now() >= deadline {
            return rollout;
        }
        sleep(CHECK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rollout_does_not_wait_for_edges_that_have_disconnected() {
        let edges = Edges::default();
        assert!(edges.rollout(Lsn(5)).is_whole());
        edges.serves_through(1, Some(Lsn::NONE));
        edges.serves_through(2, Some(Lsn(5)));
        assert_eq!(edges.rollout(Lsn(5)), Rollout { ready: 1, of: 2 });
        edges.serves_through(1, None);
        assert!(edges.rollout(Lsn(5)).is_whole() && !edges.rollout(Lsn(6)).is_whole());
    }
}
