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
pub use listen::serve;

use littoral_model::ports::FeedSource;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What every connection of one server shares. Clones share it.
#[derive(Clone)]
pub struct Shared {
    source: Arc<dyn FeedSource>,
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
        Self { source, config: Arc::new(config), subscribers, shutdown, tasks: TaskTracker::new() }
    }
}
