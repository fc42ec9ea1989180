//! Which streams of a connection are open, so that one on which nothing happens is closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Counts a connection's open streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    opened: AtomicU64,
    cut: CancellationToken,
}

/// A stream that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<Counts>);

impl Activity {
    pub(crate) fn open(&self) -> OpenStream {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.0.clone())
    }

    /// Returns when a stream wants the whole connection to end.
    pub(crate) async fn cut(&self) {
        self.0.cut.cancelled().await;
    }

    /// Returns when no stream was open or opened for `idle`, measured roughly.
    pub(crate) async fn idle(&self, idle: Duration) {
        let mut before = None;
        loop {
            let opened = self.0.opened.load(Ordering::Relaxed);
            let quiet = self.0.open.load(Ordering::Relaxed) == 0;
            if quiet && before == Some(opened) {
                return;
            }
            before = quiet.then_some(opened);
            tokio::time::sleep(idle).await;
        }
    }
}

impl OpenStream {
    /// Ends the whole connection at once. A peer that does not read cannot be told, and its stream cannot be ended
    /// while its window is closed; what waits for it is freed only with the connection.
    pub(crate) fn cut_connection(&self) {
        self.0.cut.cancel();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
