//! A link in user space: forwards TCP connections from an address to a target, and does to them what it is told to.
//!
//! Everything can be changed while connections run. Memory is bounded: beyond [`Lane::queue_bytes`] under way the link
//! does not read, so that backpressure holds through it. Jitter comes from a seed; bytes are never reordered, as TCP's are
//! not.

mod conditions;
mod connection;
mod lane;
mod stand;
#[cfg(test)]
mod tests;

pub use conditions::{Conditions, Direction, Lane, Newcomers, Side};
pub use connection::End;
pub use stand::Stand;

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

/// Connections at once; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 1_024;
/// What the system may hold of connections that are not accepted yet.
const BACKLOG: u32 = 1_024;
/// The pause after a connection could not be accepted, as when no file descriptor is left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A link at work. Dropping it closes its connections.
#[derive(Debug)]
pub struct Link {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: AbortHandle,
}

#[derive(Debug)]
struct Inner {
    target: SocketAddr,
    stand: Stand,
    seed: u64,
    conditions: watch::Sender<Conditions>,
    connections: Mutex<BTreeMap<u64, watch::Sender<Fate>>>,
    accepted: AtomicU64,
    to_target: lane::Shared,
    to_client: lane::Shared,
}

impl Link {
    /// Listens and forwards to the target, at first without any fault. Port 0 lets the system choose. Needs a tokio runtime,
    /// on which it runs.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start(listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::start_at(Stand::here(), listen, target, seed).await
    }

    /// The same, elsewhere than in this process's own network.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start_at(stand: Stand, listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        // Bound and never listening: keeps the port ours while nobody shall listen on it.
        let place = socket(&stand, listen)?;
        let address = place.local_addr()?;
        let listener = socket(&stand, address)?.listen(BACKLOG)?;
        let inner = Arc::new(Inner {
            target,
            stand,
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does now.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        *self.inner.conditions.borrow()
    }

    /// Changes what it does, from the next parcel on.
    pub fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.inner.conditions.send_modify(change);
    }

    /// Makes every parcel take this long each way, and up to `jitter` more.
    pub fn delay(&self, latency: Duration, jitter: Duration) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(Side::Both) {
                (lane.latency, lane.jitter) = (latency, jitter);
            }
        });
    }

    /// Narrows it to this many bytes a second each way; `None` widens it again.
    pub fn narrow(&self, bytes_per_second: Option<NonZeroU32>) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(Side::Both) {
                lane.bytes_per_second = bytes_per_second;
            }
        });
    }

    /// Holds what goes these ways; connections open and stay open.
    pub fn hold(&self, side: Side) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(side) {
                lane.held = true;
            }
        });
    }

    /// Partitions: nothing passes these ways, no connection ends by it, and none opens, as that takes both ways.
    pub fn cut(&self, side: Side) {
        self.hold(side);
        self.change(|conditions| conditions.newcomers = Newcomers::Unanswered);
    }

    /// Refuses new connections.
    pub fn refuse(&self) {
        self.change(|conditions| conditions.newcomers = Newcomers::Refused);
    }

    /// Ends holding, cutting and refusing. Latency, jitter and width stay; connections that are half-open stay so.
    pub fn heal(&self) {
        self.change(|conditions| {
            for lane in conditions.lanes_mut(Side::Both) {
                lane.held = false;
            }
            conditions.newcomers = Newcomers::Served;
        });
    }

    /// Resets (RST) the connections that are open, at both ends, and says how many.
    pub fn reset(&self) -> usize {
        self.decide(Fate::Reset)
    }

    /// Makes the connections that are open half-open for good: what goes these ways vanishes, with its end. New ones are
    /// not concerned. Says how many.
    pub fn swallow(&self, side: Side) -> usize {
        self.decide(Fate::Swallowed(side))
    }

    /// Closes the connections that are open at the other end, while the kept one hears nothing more and is not told. Says
    /// how many.
    pub fn orphan(&self, kept: End) -> usize {
        self.decide(Fate::Orphaned(kept))
    }

    /// Connections that were accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.inner.accepted.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.inner.connections.lock().len()
    }

    /// Bytes that have arrived in a direction, of all connections since the start.
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

/// A socket that shares its port with others of this process.
fn socket(stand: &Stand, address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = stand.socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(inner: Arc<Inner>, address: SocketAddr, listener: TcpListener) -> io::Result<()> {
    let mut listener = Some(listener);
    // Ends with this task.
    let mut connections = JoinSet::new();
    let mut conditions = inner.conditions.subscribe();
    loop {
        if conditions.borrow_and_update().newcomers == Newcomers::Refused {
            listener = None;
        } else if listener.is_none() {
            listener = Some(socket(&inner.stand, address)?.listen(BACKLOG)?);
        }
        tokio::select! {
            changed = conditions.changed() => if changed.is_err() { return Ok(()) },
            Some(_) = connections.join_next() => {}
            accepted = next(listener.as_ref()), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok(client) => {
                    let number = inner.accepted.fetch_add(1, Ordering::Relaxed);
                    let (sender, fate) = watch::channel(Fate::Carried);
                    inner.connections.lock().insert(number, sender);
                    let place = Place(inner.clone(), number);
                    connections.spawn(async move {
                        connection::serve(place.0.clone(), number, client, fate).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "the link could not accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
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

/// A connection's place among those that are open, given up when dropped.
struct Place(Arc<Inner>, u64);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.lock().remove(&self.1);
    }
}
