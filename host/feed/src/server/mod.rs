//! The publisher's and leader's end.

mod activity;
mod calls;
mod config;
mod connection;
mod listen;
mod session;
mod snapshot;

pub use config::Config;
pub use connection::serve_connection;
pub use listen::{serve, serve_shared};

use littoral_model::ports::FeedSource;
use littoral_protocol::members::ask::Door;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What every connection of one server shares. Clones share it.
#[derive(Clone)]
pub struct Shared {
    source: Arc<dyn FeedSource>,
    members: Option<Arc<dyn Door>>,
    config: Arc<Config>,
    subscribers: Arc<Semaphore>,
    shutdown: CancellationToken,
    /// Sessions and calls, which outlive the HTTP/2 requests that began them.
    tasks: TaskTracker,
}

impl Shared {
    /// A server's shared part.
    #[must_use]
    pub fn new(source: Arc<dyn FeedSource>, config: Config, shutdown: CancellationToken) -> Self {
        let subscribers = Arc::new(Semaphore::new(config.subscribers_max));
        Self { source, members: None, config: Arc::new(config), subscribers, shutdown, tasks: TaskTracker::new() }
    }

    /// Answers other members of the region's log too.
    #[must_use]
    pub fn with_members(self, members: Arc<dyn Door>) -> Self {
        Self { members: Some(members), ..self }
    }
}
