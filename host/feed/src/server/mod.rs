//! The server of the feed and of calls, at a leader, a member or a relay.

mod activity;
mod calls;
mod common;
mod compression;
mod config;
mod connection;
mod counted;
mod gate;
mod listen;
mod peers;
mod policy;
mod residency;
mod session;
mod snapshot;

pub use config::{Compression, Config, ViewGrant};
pub use connection::serve_connection;
pub use gate::Gate;
pub use listen::{serve, serve_shared};

use crate::{
    budget::Budget,
    link::Links,
    source::{Certifier, FeedSource},
};
use common::Common;
use compression::Compressors;
use littoral_protocol::members::rpc::PeerService;
use littoral_tls::Tls;
use parking_lot::RwLock;
use peers::Peers;
use std::{sync::Arc, thread};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Changes the settings of a running server.
#[derive(Clone)]
pub struct Settings {
    latest: Arc<RwLock<Arc<Config>>>,
    peers: Arc<Peers>,
    links: Arc<Links>,
    frames: Budget,
    answers: Budget,
}

impl Settings {
    /// Applies changed settings, except the keys of [`Config::FIXED`]: bounds that all connections share at once, the
    /// others to connections that begin from now on.
    pub fn set(&self, config: Config) {
        let mut latest = self.latest.write();
        let config = Arc::new(config.with_fixed(&latest));
        self.peers.resize(&config);
        self.links.set(&config.bandwidth_max);
        self.frames.resize(config.subscribers_bytes_max, config.subscribers_max);
        self.answers.resize(config.all_answers_bytes_max, config.connections_max);
        *latest = config;
    }
}

/// The state that all connections of one server share. Cloning it is cheap.
#[derive(Clone)]
pub struct Shared {
    source: Arc<dyn FeedSource>,
    members: Option<Arc<dyn PeerService>>,
    gate: Option<Arc<dyn Gate>>,
    certifier: Option<Arc<dyn Certifier>>,
    tls: Option<Tls>,
    /// The settings that apply to the connections of this copy.
    config: Arc<Config>,
    /// The settings that apply to connections that begin now.
    latest: Arc<RwLock<Arc<Config>>>,
    peers: Arc<Peers>,
    /// The memory of frames that wait for subscribers.
    frames: Budget,
    /// The memory of replies that wait for callers.
    answers: Budget,
    /// Frames that all subscribers receive from the same memory.
    common: Arc<Common>,
    /// Limits how many blocks of snapshots are encoded at once.
    makers: Arc<Semaphore>,
    links: Arc<Links>,
    compressors: Arc<Compressors>,
    shutdown: CancellationToken,
    /// Sessions and calls, which may outlive the HTTP/2 requests that began them.
    tasks: TaskTracker,
}

impl Shared {
    /// Creates the shared state of a server.
    #[must_use]
    pub fn new(source: Arc<dyn FeedSource>, config: Config, shutdown: CancellationToken) -> Self {
        let peers = Arc::new(Peers::new(&config));
        let frames = Budget::new(config.subscribers_bytes_max, config.subscribers_max);
        let answers = Budget::new(config.all_answers_bytes_max, config.connections_max);
        let makers = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, |cores| cores.get())));
        let (members, gate, certifier, tls) = (None, None, None, None);
        let (tasks, common) = (TaskTracker::new(), Arc::default());
        let links = Arc::new(Links::new(&config.bandwidth_max));
        let config = Arc::new(config);
        let latest = Arc::new(RwLock::new(config.clone()));
        Self {
            source,
            members,
            gate,
            certifier,
            tls,
            config,
            latest,
            peers,
            frames,
            answers,
            common,
            makers,
            links,
            compressors: Arc::default(),
            shutdown,
            tasks,
        }
    }

    /// Returns a handle that changes the settings of connections that begin later.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let (latest, peers, links) = (self.latest.clone(), self.peers.clone(), self.links.clone());
        Settings { latest, peers, links, frames: self.frames.clone(), answers: self.answers.clone() }
    }

    /// Returns a copy for a connection that begins now.
    fn for_connection(&self) -> Self {
        Self { config: self.latest.read().clone(), ..self.clone() }
    }

    /// Returns how many bytes wait for all subscribers together.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.frames.held()
    }

    /// Requires TLS of every connection, and lets each node do what the role in its certificate may.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Answers requests for certificates too.
    #[must_use]
    pub fn with_certifier(self, certifier: Arc<dyn Certifier>) -> Self {
        Self { certifier: Some(certifier), ..self }
    }

    /// Also serves the other members of the region.
    #[must_use]
    pub fn with_members(self, members: Arc<dyn PeerService>) -> Self {
        Self { members: Some(members), ..self }
    }

    /// Authenticates the clients on whose behalf peers write.
    #[must_use]
    pub fn with_gate(self, gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate), ..self }
    }
}
