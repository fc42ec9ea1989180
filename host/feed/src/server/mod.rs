//! The publisher's and leader's end.

mod activity;
mod calls;
mod common;
mod config;
mod connection;
mod listen;
mod session;
mod snapshot;

pub use config::Config;
pub use connection::serve_connection;
pub use listen::{serve, serve_shared};

use crate::budget::Budget;
use crate::source::FeedSource;
use common::Common;
use littoral_protocol::members::rpc::PeerService;
use std::{sync::Arc, thread};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What every connection of one server shares. Clones share it.
#[derive(Clone)]
pub struct Shared {
    source: Arc<dyn FeedSource>,
    members: Option<Arc<dyn PeerService>>,
    config: Arc<Config>,
    subscribers: Arc<Semaphore>,
    /// What waits for all subscribers.
    frames: Budget,
    /// What waits for all callers.
    answers: Budget,
    /// What all subscribers are sent from the same memory.
    common: Arc<Common>,
    /// Blocks of snapshots that may be made at once.
    makers: Arc<Semaphore>,
    shutdown: CancellationToken,
    /// Sessions and calls, which outlive the HTTP/2 requests that began them.
    tasks: TaskTracker,
}

impl Shared {
    /// A server's shared part.
    #[must_use]
    pub fn new(source: Arc<dyn FeedSource>, config: Config, shutdown: CancellationToken) -> Self {
        let subscribers = Arc::new(Semaphore::new(config.subscribers_max));
        let frames = Budget::new(config.subscribers_bytes_max, config.subscribers_max);
        let answers = Budget::new(config.all_answers_bytes_max, config.connections_max);
        let makers = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, |cores| cores.get())));
        let (members, tasks, common) = (None, TaskTracker::new(), Arc::default());
        let config = Arc::new(config);
        Self { source, members, config, subscribers, frames, answers, common, makers, shutdown, tasks }
    }

    /// Bytes that wait for subscribers, all of them together.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.frames.held()
    }

    /// Answers other members of the region's log too.
    #[must_use]
    pub fn with_members(self, members: Arc<dyn PeerService>) -> Self {
        Self { members: Some(members), ..self }
    }
}
