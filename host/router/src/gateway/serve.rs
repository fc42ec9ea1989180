//! The gateway's listener.

use crate::{gateway::service::Service, router::Router};
use littoral_http::Process;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often expired connections to doors are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Serves until `shutdown`. Then accepts no further connection, lets running requests end, and cuts what is left after
/// `drain_ms`.
pub async fn serve(listener: TcpListener, router: Router, process: Process, shutdown: CancellationToken) {
    let limits = router.config().gateway.limits();
    let service = Service::new(router, process.clone(), listener.local_addr().ok());
    let drained = CancellationToken::new();
    let sweeping = tokio::spawn(sweep(service.clone(), drained.clone()));
    littoral_http::serve(listener, limits, &process, service, shutdown).await;
    drained.cancel();
    let _ = sweeping.await;
}

async fn sweep(service: Service, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        service.sweep();
    }
}
