//! A listener's connections: taken in up to a bound, drained at the end.

use crate::{
    descriptors::{self, Side},
    draining::Draining,
    reactors::Reactors,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long to wait when the host gives no further sockets: they come back as connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until cancelled, at most `connections_max` connections at once, each on one of `reactors` by the future that
/// `connection` makes of it and of its peer's address. Then no connection is taken in, those that are open end as they see fit, and what is left
/// after `drain` is cut.
pub async fn serve<C, F>(
    listener: TcpListener,
    reactors: &Reactors,
    connections_max: usize,
    drain: Duration,
    (shutdown, draining): (CancellationToken, &Draining),
    connection: C,
) where
    C: Fn(TcpStream, IpAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((stream, peer, place)) if !descriptors::leaves_room(&stream, Side::Client) => {
                drop((stream, place));
                tracing::warn!(%peer, "a connection is closed: the last file descriptors are kept for the log and for peers");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Ok((stream, peer, place)) => {
                let (cut, connected) = (cut.clone(), draining.connected());
                let spawned = reactors.spawn(&connections, stream, |stream| {
                    let served = connection(stream, peer.ip().to_canonical());
                    async move {
                        let (_place, _connected) = (place, connected);
                        let _ = cut.run_until_cancelled(served).await;
                    }
                });
                if let Err(error) = spawned {
                    tracing::warn!(%error, %peer, "a connection could not be taken over by a thread and is closed");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::info!(connections = connections.len(), "connections are cut, as they did not end in time");
        cut.cancel();
        connections.wait().await;
    }
}

/// The next connection, once there is a place for it: until then it waits in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // It fails when the client has left, which its connection will find out.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer, place));
            }
            // The client left before it was taken in.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}
