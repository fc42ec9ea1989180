//! The gateway's listener.

use crate::{
    gateway::{connection, service::Service},
    router::Router,
};
use littoral_runtime::{connections, workers};
use std::time::Duration;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;

/// How often idle connections to doors are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Serves until cancelled. Then no connection is taken in, running requests are answered, and what is left after
/// `drain_ms` is cut.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let config = &router.config().gateway;
    let service = Service::new(router.clone(), listener.local_addr().ok());
    let drained = CancellationToken::new();
    let sweeping = tokio::spawn(sweep(service.clone(), drained.clone()));
    let (reactors, drain) = (&config.reactors, config.drain());
    let workers = workers::Executor(Handle::current());
    let stopping = (shutdown.clone(), &config.draining);
    connections::serve(listener, reactors, config.connections_max, drain, stopping, |stream, peer| {
        let (service, router, workers) = (service.clone(), router.clone(), workers.clone());
        let shutdown = shutdown.clone();
        async move { connection::serve(stream, peer, service, &router.config().gateway, workers, shutdown).await }
    })
    .await;
    drained.cancel();
    let _ = sweeping.await;
}

async fn sweep(service: Service, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        service.sweep();
    }
}
