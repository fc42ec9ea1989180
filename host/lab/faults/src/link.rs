//! A link in user space: forwards TCP connections from an address to a target, under conditions that can change at any
//! time.
//!
//! Memory is bounded: with [`Lane::queue_bytes`] in flight the link stops reading, so that backpressure passes through
//! it. Jitter comes from a seed. Bytes are never reordered, as in TCP.

mod conditions;
mod connection;
mod lane;
mod link_network;
#[cfg(test)]
mod tests;

pub use conditions::{Conditions, Direction, Lane, Newcomers, Side};
pub use connection::End;
pub use link_network::LinkNetwork;

use connection::Fate;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// The most open connections; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 1_024;
/// The system's backlog of connections that are not accepted yet.
const BACKLOG: u32 = 1_024;
/// The pause after a failed accept, for example when no file descriptor is left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);

/// A running link. Dropping it closes its connections.
#[derive(Debug)]
pub struct Link {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: AbortHandle,
}

#[derive(Debug)]
struct Inner {
    target: SocketAddr,
    network: LinkNetwork,
    seed: u64,
    conditions: watch::Sender<Conditions>,
    connections: Mutex<BTreeMap<u64, watch::Sender<Fate>>>,
    accepted: AtomicU64,
    to_target: lane::Shared,
    to_client: lane::Shared,
}

impl Link {
    /// Starts a link without faults that forwards from `listen` to the target. With port 0 the system chooses. Requires
    /// a tokio runtime.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start(listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::start_at(LinkNetwork::here(), listen, target, seed).await
    }

    /// Like [`Link::start`], in another network than this process's own.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start_at(network: LinkNetwork, listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        // Bound but never listening, it reserves the port while connections are refused.
        let place = socket(&network, listen)?;
        let address = place.local_addr()?;
        let listener = socket(&network, address)?.listen(BACKLOG)?;
        let inner = Arc::new(Inner {
            target,
            network,
            seed,
            conditions: watch::Sender::new(Conditions::default()),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
            to_target: lane::Shared::default(),
            to_client: lane::Shared::default(),
        });
        let serving = inner.clone();
        let task = tokio::spawn(async move {
            let _place = place;
            if let Err(error) = accept(serving, address, listener).await {
                tracing::error!(%address, %error, "the link has ended");
            }
        });
        Ok(Self { inner, address, task: task.abort_handle() })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the current conditions.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        *self.inner.conditions.borrow()
    }

    /// Changes the conditions, from the next parcel on.
    pub fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.inner.conditions.send_modify(change);
    }

    /// Delays every parcel by this time in each direction, and by up to `jitter` more.
    pub fn delay(&self, latency: Duration, jitter: Duration) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(Side::Both) {
                (lane.latency, lane.jitter) = (latency, jitter);
            }
        });
    }

    /// Limits it to this many bytes a second in each direction; `None` removes the limit.
    pub fn narrow(&self, bytes_per_second: Option<NonZeroU32>) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(Side::Both) {
                lane.bytes_per_second = bytes_per_second;
            }
        });
    }

    /// Holds all bytes in these directions. Connections open and stay open.
    pub fn hold(&self, side: Side) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(side) {
                lane.held = true;
            }
        });
    }

    /// Partitions: nothing passes in these directions. Connections stay open, and no new one opens, which needs both
    /// directions.
    pub fn cut(&self, side: Side) {
        self.hold(side);
        self.change(|conditions| conditions.newcomers = Newcomers::Unanswered);
    }

    /// Refuses new connections.
    pub fn refuse(&self) {
        self.change(|conditions| conditions.newcomers = Newcomers::Refused);
    }

    /// Ends holding, partitioning and refusing. Latency, jitter and limits remain; half-open connections stay
    /// half-open.
    pub fn heal(&self) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(Side::Both) {
                lane.held = false;
            }
            conditions.newcomers = Newcomers::Served;
        });
    }

    /// Resets (RST) all open connections at both ends. Returns how many.
    pub fn reset(&self) -> usize {
        self.decide(Fate::Reset)
    }

    /// Makes all open connections half-open for good: bytes in these directions vanish, and so does the end of the
    /// stream. New connections are unaffected. Returns how many.
    pub fn swallow(&self, side: Side) -> usize {
        self.decide(Fate::Swallowed(side))
    }

    /// Closes all open connections at the other end, while the kept end receives nothing more and does not notice.
    /// Returns how many.
    pub fn orphan(&self, kept: End) -> usize {
        self.decide(Fate::Orphaned(kept))
    }

    /// Returns the number of connections accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.inner.accepted.load(Ordering::Relaxed)
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.inner.connections.lock().len()
    }

    /// Returns the number of bytes delivered in a direction since the start.
    #[must_use]
    pub fn carried(&self, direction: Direction) -> u64 {
        let lane = match direction {
            Direction::ToTarget => &self.inner.to_target,
            Direction::ToClient => &self.inner.to_client,
        };
        lane.carried.load(Ordering::Relaxed)
    }

    fn decide(&self, fate: Fate) -> usize {
        let connections = self.inner.connections.lock();
        for connection in connections.values() {
            connection.send_replace(fate);
        }
        connections.len()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a socket that shares its port with others of this process.
fn socket(network: &LinkNetwork, address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = network.socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(inner: Arc<Inner>, address: SocketAddr, listener: TcpListener) -> io::Result<()> {
    let mut listener = Some(listener);
    // Dropped, and so aborted, with this task.
    let mut connections = JoinSet::new();
    let mut conditions = inner.conditions.subscribe();
    loop {
        if conditions.borrow_and_update().newcomers == Newcomers::Refused {
            listener = None;
        } else if listener.is_none() {
            listener = Some(socket(&inner.network, address)?.listen(BACKLOG)?);
        }
        tokio::select! {
            changed = conditions.changed() => if changed.is_err() { return Ok(()) },
            Some(_) = connections.join_next() => {}
            accepted = next(listener.as_ref()), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok(client) => {
                    let number = inner.accepted.fetch_add(1, Ordering::Relaxed);
                    let (sender, fate) = watch::channel(Fate::Carried);
                    inner.connections.lock().insert(number, sender);
                    let place = LinkSlot(inner.clone(), number);
                    connections.spawn(async move {
                        connection::serve(place.0.clone(), number, client, fate).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "the link could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

/// A connection's entry among the open ones, removed when dropped.
struct LinkSlot(Arc<Inner>, u64);

impl Drop for LinkSlot {
    fn drop(&mut self) {
        self.0.connections.lock().remove(&self.1);
    }
}
