//! What the peers of a server share, so that one address or one node cannot use all of it: connections, subscriptions,
//! and the calls that run at once.

use super::Config;
use littoral_runtime::{
    live::Live,
    shares::{Exceeded, Group, Kind, Load, Loads, Share, Shares},
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// The shortest time between two lines of the log about connections that were closed.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The unit of [`Node::bytes`], as semaphores count in `u32`.
const BYTES_UNIT: usize = 1 << 10;

/// The bounds of a server.
#[derive(Debug)]
pub(crate) struct Peers {
    connections: Shares,
    subscriptions: Shares,
    addresses: Live<Group, Load>,
    nodes: Live<String, Node>,
    logged: Mutex<Option<Instant>>,
}

/// What a node may use, over all of its connections.
#[derive(Debug)]
pub(crate) struct Node {
    loads: Loads,
    /// The calls that run at once.
    pub(crate) calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Peers {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            connections: Shares::new(Kind::Connections, config.connections_max),
            subscriptions: Shares::new(Kind::Subscriptions, config.subscribers_max),
            addresses: Live::default(),
            nodes: Live::default(),
            logged: Mutex::default(),
        }
    }

    /// Returns the share of a connection. Without TLS only this host connects, and no bound per address applies.
    pub(crate) fn connection(&self, address: IpAddr, has_tls: bool) -> Result<Share, Exceeded> {
        let load = has_tls.then(|| self.addresses.get(Group::of(address), Load::default));
        self.connections.take_owned(&Loads::new(load, None), 1)
    }

    /// Returns the node with this identity.
    pub(crate) fn node(&self, identity: String, config: &Config) -> Arc<Node> {
        self.nodes.get(identity, || Node::new(config, Loads::new(None, Some(Arc::default()))))
    }

    /// Returns the share of a subscription of a node.
    pub(crate) fn subscription(&self, node: &Node) -> Result<Share, Exceeded> {
        self.subscriptions.take_owned(&node.loads, 1)
    }

    /// Returns whether a closed connection may be logged: a flood of them must not flood the log.
    pub(crate) fn may_log(&self) -> bool {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let may = logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_INTERVAL);
        if may {
            *logged = Some(now);
        }
        may
    }
}

impl Node {
    /// Returns the node at the other end of a connection without an identity: it is one for each connection.
    pub(crate) fn unknown(config: &Config) -> Arc<Self> {
        Arc::new(Self::new(config, Loads::default()))
    }

    fn new(config: &Config, loads: Loads) -> Self {
        let bytes_max =
            config.calls_bytes_max.div_ceil(BYTES_UNIT).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let calls = Arc::new(Semaphore::new(config.calls_in_flight_max.max(1)));
        Self { loads, calls, bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// Waits for the memory of a call of this length. A call that is larger than all of it runs alone.
    pub(crate) async fn memory(&self, len: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let needed = len.div_ceil(BYTES_UNIT).clamp(1, self.bytes_max) as u32;
        // The semaphore is never closed.
        self.bytes.clone().acquire_many_owned(needed).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_nodes_that_take_all_they_can_leave_room_for_others() {
        let config = Config { connections_max: 100, subscribers_max: 100, ..Config::default() };
        let peers = Peers::new(&config);
        let most = |take: &dyn Fn() -> Result<Share, Exceeded>| {
            std::iter::repeat_with(take).map_while(Result::ok).collect::<Vec<_>>()
        };
        let stranger = most(&|| peers.connection([192, 0, 2, 1].into(), true));
        assert_eq!(stranger.len(), 50);
        assert!(peers.connection([192, 0, 2, 2].into(), true).is_ok());
        assert_eq!(
            most(&|| peers.connection([127, 0, 0, 1].into(), false)).len(),
            50,
            "without TLS: all that are left"
        );
        let greedy = peers.node("littoral://prod/eu/edge/e1".to_owned(), &config);
        let subscriptions = most(&|| peers.subscription(&greedy));
        assert_eq!(subscriptions.len(), 50);
        let again = peers.node("littoral://prod/eu/edge/e1".to_owned(), &config);
        assert_eq!(peers.subscription(&again).unwrap_err(), Exceeded::Client, "over another connection, too");
        assert!(peers.subscription(&peers.node("littoral://prod/eu/edge/e2".to_owned(), &config)).is_ok());
        assert!(peers.may_log() && !peers.may_log());
    }
}
