//! A listener: accepts connections and drains them at shutdown.

use crate::{
    Handler, Limits, Process,
    connection::{Client, Connections},
    places::Places,
    socket::Socket,
};
use littoral_runtime::{
    descriptors::{self, Side},
    workers,
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
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
    let places = Places::new(&limits);
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
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener)).await {
        match accepted {
            Ok((stream, peer)) if !descriptors::leaves_room(&stream, Side::Client) => {
                drop(stream);
                tracing::warn!(%peer, "closed a connection: the last file descriptors are kept for the log and for peers");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let place = places.enter(address, connections.handler.is_exempt(address, None));
                let (cut, connected) = (cut.clone(), process.draining.connected());
                let connections = connections.clone();
                let spawned = process.reactors.spawn(&tasks, stream, |stream| {
                    let socket = Socket::new(stream);
                    let client = Client {
                        address,
                        peer: Some(socket.peer()),
                        identity: None,
                        load: place.seat().loads().address().cloned(),
                    };
                    async move {
                        let _connected = connected;
                        tokio::select! {
                            () = connections.serve(socket, client, &place) => {}
                            () = cut.cancelled() => {}
                            () = place.seat().gives_way() => {
                                tracing::debug!(%peer, "closed a connection: it gave way to a new one");
                            }
                        }
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

/// Accepts the next connection.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Fails if the client has left, which the connection will notice.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer));
            }
            // The client left before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}
