//! What the peers of a server share, so that one node or a stranger cannot use all of it: connections, subscriptions,
//! and the calls that run at once.

use super::Config;
use littoral_runtime::{
    Occasional,
    live::Live,
    shares::{Exceeded, Kind, Loads, Share, Shares},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The number of TLS handshakes that may always run.
const HANDSHAKES_MIN: usize = 16;

/// The unit of [`Node::bytes`], as semaphores count in `u32`.
const BYTES_UNIT: usize = 1 << 10;

/// The bounds of a server.
#[derive(Debug)]
pub(crate) struct Peers {
    connections: Shares,
    subscriptions: Shares,
    handshakes: Mutex<Handshakes>,
    handshakes_max: usize,
    nodes: Live<String, Node>,
    logged: Occasional,
}

/// What a node may use, over all of its connections.
#[derive(Debug)]
pub(crate) struct Node {
    loads: Loads,
    /// The calls that run at once.
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

/// The TLS handshakes that run, the oldest first.
#[derive(Debug, Default)]
struct Handshakes {
    running: BTreeMap<u64, Arc<Notify>>,
    next: u64,
}

/// A TLS handshake, until it is dropped.
#[derive(Debug)]
pub(crate) struct Handshake<'a> {
    peers: &'a Peers,
    number: u64,
    cut: Arc<Notify>,
}

impl Handshake<'_> {
    /// Returns once the handshake must end.
    pub(crate) async fn gives_way(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.peers.lock().running.remove(&self.number);
    }
}

/// A call that runs. It keeps its node, so that the node finds it again after it has reconnected.
#[derive(Debug)]
pub(crate) struct RunningCall {
    _slot: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
    _node: Arc<Node>,
}

impl Peers {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            connections: Shares::new(Kind::Connections, config.connections_max),
            subscriptions: Shares::new(Kind::Subscriptions, config.subscribers_max),
            handshakes: Mutex::default(),
            handshakes_max: (config.connections_max / 4).max(HANDSHAKES_MIN),
            nodes: Live::default(),
            logged: Occasional::default(),
        }
    }

    /// Changes the number of subscriptions.
    pub(crate) fn resize(&self, config: &Config) {
        self.subscriptions.set_max(config.subscribers_max);
    }

    /// Begins a TLS handshake. Until it ends nobody knows who connects, so the oldest one gives way if too many run.
    pub(crate) fn handshake(&self) -> Handshake<'_> {
        let mut handshakes = self.lock();
        let number = handshakes.next;
        handshakes.next += 1;
        let cut = Arc::new(Notify::new());
        handshakes.running.insert(number, cut.clone());
        if handshakes.running.len() > self.handshakes_max
            && let Some((_, oldest)) = handshakes.running.pop_first()
        {
            oldest.notify_one();
        }
        Handshake { peers: self, number, cut }
    }

    fn lock(&self) -> MutexGuard<'_, Handshakes> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the share of a connection of a node.
    fn connection(&self, node: &Node) -> Result<Share, Exceeded> {
        self.connections.take_owned(&node.loads, 1)
    }

    /// Like [`Self::connection`]. Counts and logs a connection that has no share.
    pub(crate) fn admit(&self, peer: &str, node: &Node, max: usize) -> Option<Share> {
        let exceeded = match self.connection(node) {
            Ok(share) => return Some(share),
            Err(exceeded) => exceeded,
        };
        let reason = if exceeded == Exceeded::Bound { "connections" } else { "node_connections" };
        metrics::counter!("littoral_feed_rejected_total", "reason" => reason).increment(1);
        if self.take_turn_to_log() {
            tracing::warn!(
                peer,
                max,
                reason,
                "closed a peer's connection: all connections are used, or its node has more than it leaves free; raise \
                 feed.connections_max to allow more"
            );
        }
        None
    }

    /// Returns the node with this identity.
    pub(crate) fn node(&self, identity: String, config: &Config) -> Arc<Node> {
        self.nodes.get(identity, || Node::new(config, Loads::new(None, Some(Arc::default()))))
    }

    /// Returns the share of a subscription of a node.
    pub(crate) fn subscription(&self, node: &Node) -> Result<Share, Exceeded> {
        self.subscriptions.take_owned(&node.loads, 1)
    }

    /// Takes the turn to log a closed connection: a flood of them must not flood the log. Returns whether it did.
    pub(crate) fn take_turn_to_log(&self) -> bool {
        self.logged.take_turn()
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

    /// Waits until a call of this length may run. A call that is larger than all of the memory for calls runs alone.
    pub(crate) async fn begin_call(self: &Arc<Self>, len: usize) -> Option<RunningCall> {
        // Neither semaphore is ever closed.
        let slot = self.calls.clone().acquire_owned().await.ok()?;
        let needed = len.div_ceil(BYTES_UNIT).clamp(1, self.bytes_max) as u32;
        let memory = self.bytes.clone().acquire_many_owned(needed).await.ok()?;
        Some(RunningCall { _slot: slot, _memory: memory, _node: self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn a_node_that_reconnects_finds_its_running_calls() {
        let config = Config { calls_in_flight_max: 1, ..Config::default() };
        let peers = Peers::new(&config);
        let node = || peers.node("littoral://prod/eu/edge/e1".to_owned(), &config);
        let running = node().begin_call(1).now_or_never().unwrap();
        assert!(running.is_some() && node().begin_call(1).now_or_never().is_none());
        drop(running);
        assert!(node().begin_call(1).now_or_never().is_some());
    }

    #[test]
    fn the_oldest_handshake_gives_way_and_none_takes_the_place_of_a_connection() {
        let config = Config { connections_max: 4 * HANDSHAKES_MIN, ..Config::default() };
        let peers = Peers::new(&config);
        let has_given_way = |handshake: &Handshake<'_>| handshake.gives_way().now_or_never().is_some();
        drop(peers.handshake());
        let strangers: Vec<_> = (0..3 * HANDSHAKES_MIN).map(|_| peers.handshake()).collect();
        let good = peers.handshake();
        assert_eq!(strangers.iter().filter(|stranger| has_given_way(stranger)).count(), 2 * HANDSHAKES_MIN + 1);
        assert!(!has_given_way(&good) && !has_given_way(&strangers[3 * HANDSHAKES_MIN - 1]));
        assert!(peers.connection(&peers.node("littoral://prod/eu/edge/e1".to_owned(), &config)).is_ok());
        drop((strangers, good));
        assert!(peers.lock().running.is_empty());
    }

    #[test]
    fn nodes_that_take_all_they_can_leave_room_for_others() {
        let config = Config { connections_max: 100, subscribers_max: 100, ..Config::default() };
        let peers = Peers::new(&config);
        let most = |take: &dyn Fn() -> Result<Share, Exceeded>| {
            std::iter::repeat_with(take).map_while(Result::ok).collect::<Vec<_>>()
        };
        let greedy = peers.node("littoral://prod/eu/edge/e1".to_owned(), &config);
        let connections = most(&|| peers.connection(&greedy));
        assert_eq!(connections.len(), 50);
        assert!(peers.connection(&peers.node("littoral://prod/eu/edge/e2".to_owned(), &config)).is_ok());
        assert_eq!(most(&|| peers.connection(&Node::unknown(&config))).len(), 50, "without TLS: all that are left");
        let subscriptions = most(&|| peers.subscription(&greedy));
        assert_eq!(subscriptions.len(), 50);
        let again = peers.node("littoral://prod/eu/edge/e1".to_owned(), &config);
        assert_eq!(peers.subscription(&again).unwrap_err(), Exceeded::Client, "over another connection, too");
        assert!(peers.subscription(&peers.node("littoral://prod/eu/edge/e2".to_owned(), &config)).is_ok());
        assert!(peers.take_turn_to_log() && !peers.take_turn_to_log());
    }
}
