//! Draining: for a bounded time before its doors close, a process that is about to stop announces it and continues to
//! serve, so that clients and routers move away before a connection is refused.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::{
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The header of answers from a draining process, for routers.
pub const HEADER: HeaderName = HeaderName::from_static("littoral-draining");

/// A process without a connection for this long has no client to notify, and skips the notice.
const UNUSED_AFTER: Duration = Duration::from_secs(10);

/// The open connections of clients.
static CONNECTIONS: LazyLock<metrics::Gauge> = LazyLock::new(|| metrics::gauge!("littoral_http_connections"));

/// Whether the process is draining. Clones share the state; the default never drains.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// A copy of `begun` that is read without its lock, because every answer of every thread reads it.
    has_begun: AtomicBool,
    begun: CancellationToken,
    open: AtomicUsize,
    /// When a connection was last accepted or closed.
    used: Mutex<Option<Instant>>,
}

/// A connection, until it is dropped.
#[derive(Debug)]
pub struct Connected(Draining);

// === impl Draining ===

impl Draining {
    /// Starts draining.
    pub fn begin(&self) {
        self.0.has_begun.store(true, Relaxed);
        self.0.begun.cancel();
    }

    /// Returns whether the process is draining.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Relaxed)
    }

    /// Returns when draining starts.
    pub async fn begins(&self) {
        self.0.begun.cancelled().await;
    }

    /// Announces in an answer that the process is draining, if it is. An HTTP/1.1 answer then closes its connection, so
    /// that the client's next request can go elsewhere; over HTTP/2, GOAWAY does that.
    pub fn mark(&self, headers: &mut HeaderMap, http2: bool) {
        if self.has_begun() {
            headers.insert(HEADER, HeaderValue::from_static("1"));
            if !http2 {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
    }

    /// Counts a connection to a door.
    #[must_use]
    pub fn connected(&self) -> Connected {
        self.0.open.fetch_add(1, Relaxed);
        CONNECTIONS.increment(1.0);
        self.0.is_used_now();
        Connected(self.clone())
    }

    /// Returns whether a client is connected to a door, or was a moment ago.
    #[must_use]
    pub fn is_used(&self) -> bool {
        let used = *self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.open.load(Relaxed) > 0 || used.is_some_and(|used| used.elapsed() < UNUSED_AFTER)
    }
}

impl Inner {
    fn is_used_now(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Two values are equal if they belong to the same process.
impl PartialEq for Draining {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || !self.has_begun() && !other.has_begun()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.is_used_now();
        self.0.0.open.fetch_sub(1, Relaxed);
        CONNECTIONS.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_while_a_client_is_connected_and_shortly_after() {
        let draining = Draining::default();
        assert!(!draining.is_used());
        let connection = draining.connected();
        assert!(draining.is_used());
        drop(connection);
        assert!(draining.is_used(), "a client that connects once a second");
        *draining.0.used.lock().unwrap() = Instant::now().checked_sub(UNUSED_AFTER);
        assert!(!draining.is_used());
    }
}
