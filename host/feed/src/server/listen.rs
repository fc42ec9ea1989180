//! Accepts connections on the peer listener.

use super::{
    Config, Shared,
    connection::{DRAIN_MAX, serve_peer},
};
use crate::source::FeedSource;
use crate::transport;
use littoral_runtime::descriptors::{self, Side};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long to wait when no file descriptors are available. They become available as connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the feed and calls until `shutdown`. Then every subscriber is notified, running calls are answered, and
/// connections are closed.
pub async fn serve(listener: TcpListener, source: Arc<dyn FeedSource>, config: Config, shutdown: CancellationToken) {
    serve_shared(listener, Shared::new(source, config, shutdown)).await;
}

/// Like [`serve`], with existing shared state, for example of a server that also serves other members.
pub async fn serve_shared(listener: TcpListener, shared: Shared) {
    let shutdown = shared.shutdown.clone();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer's connection; retrying");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !descriptors::leaves_room(&socket, Side::Peer) {
            tracing::warn!(%peer, "closing a peer's connection: the last file descriptors are reserved for the log");
            metrics::counter!("littoral_feed_rejected_total", "reason" => "descriptors").increment(1);
            drop(socket);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        if let Err(error) = transport::prepare(&socket) {
            tracing::debug!(%peer, %error, "the peer's connection failed immediately");
            continue;
        }
        shared.tasks.spawn(serve_peer(socket, peer.to_string(), shared.for_connection()));
    }
    drop(listener);
    shared.tasks.close();
    if tokio::time::timeout(DRAIN_MAX + ACCEPT_PAUSE, shared.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = shared.tasks.len(), "dropping peer connections that did not end in time");
    }
}
