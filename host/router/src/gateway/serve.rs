//! The gateway's listener.

use crate::{gateway::service::Service, router::Router};
use littoral_http::Process;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often expired connections to doors are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The listeners of a router.
pub struct Listeners {
    /// The door of clients.
    pub door: TcpListener,
    /// The listener for administration. Without it, the door serves administration too.
    pub admin: Option<TcpListener>,
}

/// Serves until `shutdown`. Then accepts no further connection, lets running requests end, and closes the connections
/// that remain after `drain_ms`.
pub async fn serve(listeners: Listeners, router: Router, process: Process, shutdown: CancellationToken) {
    let limits = router.config().gateway.limits();
    let Listeners { door, admin } = listeners;
    let service = Service::new(router, process.clone(), door.local_addr().ok(), admin.is_some());
    let drained = CancellationToken::new();
    let sweeping = tokio::spawn(sweep(service.clone(), drained.clone()));
    let serve = littoral_http::serve(door, limits, &process, service.clone(), shutdown.clone());
    match admin {
        None => serve.await,
        Some(admin) => {
            let service = service.for_admins(admin.local_addr().ok());
            // Each listener has its own bound of connections, so that clients cannot exclude the operator.
            tokio::join!(serve, littoral_http::serve(admin, limits, &process, service, shutdown));
        }
    }
    drained.cancel();
    let _ = sweeping.await;
}

async fn sweep(service: Service, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        service.sweep();
    }
}
