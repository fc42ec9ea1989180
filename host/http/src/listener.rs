//! A listener: accepts connections up to a bound and drains them at shutdown.

use crate::{
    Handler, Limits, Process,
    connection::{Client, Connections},
    socket::Socket,
};
use littoral_runtime::{
    descriptors::{self, Side},
    workers,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The pause after the system refused a socket: sockets become free as connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `handler` on `listener` until `shutdown`. Then accepts no further connection, lets running requests end, and
/// closes the connections that remain after [`Limits::drain`].
///
/// Each connection is driven by one of [`Process::reactors`]. Requests of HTTP/2 run on the runtime of the caller.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    limits: Limits,
    process: &Process,
    handler: H,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let connections = Connections {
        handler,
        limits,
        draining: process.draining.clone(),
        tls: process.tls.clone(),
        workers: workers::Executor(Handle::current()),
        shutdown: shutdown.clone(),
    };
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((stream, peer, place)) if !descriptors::leaves_room(&stream, Side::Client) => {
                drop((stream, place));
                tracing::warn!(%peer, "closed a connection: the last file descriptors are kept for the log and for peers");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Ok((stream, peer, place)) => {
                let (cut, connected) = (cut.clone(), process.draining.connected());
                let connections = connections.clone();
                let spawned = process.reactors.spawn(&tasks, stream, |stream| {
                    let socket = Socket::new(stream);
                    let client =
                        Client { address: peer.ip().to_canonical(), peer: Some(socket.peer()), identity: None };
                    async move {
                        let (_place, _connected) = (place, connected);
                        let _ = cut.run_until_cancelled(connections.serve(socket, client)).await;
                    }
                });
                if let Err(error) = spawned {
                    tracing::warn!(%error, %peer, "closed a connection: no thread could register it with its poller");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; retrying");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(limits.drain, tasks.wait()).await.is_err() {
        tracing::info!(connections = tasks.len(), "cutting connections that did not end within the drain time");
        cut.cancel();
        tasks.wait().await;
    }
}

/// Accepts the next connection once there is a place for it. Until then it waits in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Fails if the client has left, which the connection will notice.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer, place));
            }
            // The client left before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}
