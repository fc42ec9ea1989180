//! Takes connections.

use super::{
    Config, Shared,
    connection::{DRAIN_MAX, serve_connection},
};
use crate::source::FeedSource;
use crate::transport;
use littoral_runtime::descriptors::{self, Side};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// How long to wait when the host gives no further sockets: they come back as connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the feed and calls until `shutdown`; then every subscriber is told, calls that are being carried out are
/// answered, and connections are closed.
pub async fn serve(listener: TcpListener, source: Arc<dyn FeedSource>, config: Config, shutdown: CancellationToken) {
    serve_shared(listener, Shared::new(source, config, shutdown)).await;
}

/// As [`serve`], of a shared part that is there already: one that answers other members too.
pub async fn serve_shared(listener: TcpListener, shared: Shared) {
    let connections = Arc::new(Semaphore::new(shared.config.connections_max));
    let shutdown = shared.shutdown.clone();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take a peer's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::warn!(%peer, max = shared.config.connections_max, "too many peer connections; this one is closed");
            metrics::counter!("littoral_feed_refused_total", "reason" => "connections").increment(1);
            continue;
        };
        if !descriptors::leaves_room(&socket, Side::Peer) {
            tracing::warn!(%peer, "a peer's connection is closed: the last file descriptors are kept for the log");
            metrics::counter!("littoral_feed_refused_total", "reason" => "descriptors").increment(1);
            drop(socket);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        if let Err(error) = transport::prepare(&socket) {
            tracing::debug!(%peer, %error, "the peer's connection broke at once");
            continue;
        }
        let connection = serve_connection(socket, peer.to_string(), shared.clone());
        shared.tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    shared.tasks.close();
    if tokio::time::timeout(DRAIN_MAX + ACCEPT_PAUSE, shared.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = shared.tasks.len(), "peer connections did not end in time and are dropped");
    }
}
