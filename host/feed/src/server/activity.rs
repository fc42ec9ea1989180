//! Counts the open streams of a connection, so that an idle one can be closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The counter of a connection's open streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    opened: AtomicU64,
    cut: CancellationToken,
}

/// An open stream; dropping it closes the stream.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<Counts>);

impl Activity {
    pub(crate) fn open(&self) -> OpenStream {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.0.clone())
    }

    /// Waits until a stream requests the end of the whole connection.
    pub(crate) async fn cut(&self) {
        self.0.cut.cancelled().await;
    }

    /// Waits until no stream was open or opened for `idle`, measured roughly.
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
    /// Ends the whole connection at once. A peer that does not read cannot be notified, and its stream cannot be closed
    /// while its window is full. Only closing the connection frees the memory that waits for it.
    pub(crate) fn cut_connection(&self) {
        self.0.cut.cancel();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
