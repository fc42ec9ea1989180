//! The gateway's listener: takes connections up to a bound, and drains them at the end.

use crate::{
    gateway::{connection, service::Service},
    router::Router,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long to wait when the host gives no further sockets: they come back as connections close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often idle connections to doors are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Serves until cancelled. Then no connection is taken in, running requests are answered, and what is left after
/// `drain_ms` is cut.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let config = &router.config().gateway;
    let service = Service::new(router.clone());
    let places = Arc::new(Semaphore::new(config.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let sweeping = sweep(service.clone(), cut.clone());
    let sweeping = tokio::spawn(sweeping);
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((stream, peer, place)) => {
                let (service, router) = (service.clone(), router.clone());
                let (cut, shutdown) = (cut.clone(), shutdown.clone());
                connections.spawn(async move {
                    let _place = place;
                    let served = connection::serve(stream, peer, service, &router.config().gateway, shutdown);
                    let _ = cut.run_until_cancelled(served).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(config.drain(), connections.wait()).await.is_err() {
        tracing::info!(connections = connections.len(), "connections are cut, as they did not end in time");
        cut.cancel();
        connections.wait().await;
    }
    cut.cancel();
    let _ = sweeping.await;
}

async fn sweep(service: Service, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        service.sweep();
    }
}

/// The next connection, once there is a place for it: until then it waits in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, std::net::IpAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // It fails when the client has left, which its connection will find out.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer.ip().to_canonical(), place));
            }
            // The client left before it was taken in.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}
