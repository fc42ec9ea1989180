//! A door that is open before its node can answer. Until then it answers with the progress of the start.

use crate::{
    Config,
    access::{self, Guard, Side},
    answer::Answer,
    failure::Failure,
    project::Projects,
    routes::{self, Found},
    service,
    state::{DoorState, Resources},
    v1,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use littoral_api::{code, projects::split_path};
use littoral_http::{Client, Exceeded, Handler, PeerIdentity, Process, Sending, Watched, Whole, browsers::Browsers};
use littoral_model::ports::{ModuleRuntime, Node};
use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A door on a listener.
pub struct Door {
    listener: TcpListener,
    /// The listener for administration.
    admin: Option<TcpListener>,
    service: Service,
}

/// Connects a door to its node.
#[derive(Clone)]
pub struct Opener(Service);

#[derive(Clone)]
struct Service {
    shared: Arc<Shared>,
    side: Side,
    browsers: Arc<Browsers>,
}

struct Shared {
    resources: Arc<Resources>,
    /// Describes the progress of the start.
    starting: Box<dyn Fn() -> String + Send + Sync>,
    state: OnceLock<Arc<Projects>>,
}

impl Door {
    /// Creates a door that answers 503 with the text of `starting` until it is opened.
    pub fn new(
        listener: TcpListener,
        config: Config,
        process: Process,
        guard: Guard,
        starting: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let browsers = Browsers::new("door", &config.origins, &config.hosts, listener.local_addr().ok()).into();
        let resources = Arc::new(Resources::new(config, process, guard));
        let shared = Shared { resources, starting: Box::new(starting), state: OnceLock::new() };
        Self { listener, admin: None, service: Service { shared: Arc::new(shared), side: Side::Door, browsers } }
    }

    /// Adds a listener for administration, which has metrics, status and the operator's endpoints.
    #[must_use]
    pub fn with_admin(self, listener: TcpListener) -> Self {
        Self { admin: Some(listener), ..self }
    }

    /// Returns the handle that connects the door to its node.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener(self.service.clone())
    }

    /// Serves until cancelled, as [`crate::serve`] does.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { listener, admin, service } = self;
        let resources = service.shared.resources.clone();
        let (config, process) = (resources.config(), &resources.process);
        let limits = config.limits();
        let serve = littoral_http::serve(listener, limits, process, service.clone(), shutdown.clone());
        let Some(admin) = admin else { return serve.await };
        let address = admin.local_addr().ok();
        let browsers = Browsers::new("door", &config.origins, &config.hosts, address).into();
        let is_loopback = address.is_some_and(|address| address.ip().to_canonical().is_loopback());
        let is_open = is_loopback || resources.guard.authenticator.is_none();
        let service = Service { side: Side::Admin { is_open }, browsers, ..service };
        // Each listener has its own bound of connections, so that clients cannot exclude the operator.
        tokio::join!(serve, littoral_http::serve(admin, limits, process, service, shutdown));
    }
}

impl Opener {
    /// Applies a changed configuration to requests that begin from now on, except the keys of [`Config::FIXED`].
    pub fn reload(&self, config: Config) {
        let Shared { resources, state, .. } = &*self.0.shared;
        let config = resources.reload(config);
        if let Some(state) = state.get() {
            state.default().reload(&config);
        }
    }

    /// Connects the door to its node. Large requests are answered on the runtime of the caller.
    pub fn open(&self, node: Arc<dyn Node>, modules: Arc<dyn ModuleRuntime>) {
        let Shared { resources, state, .. } = &*self.0.shared;
        let door = Arc::new(DoorState::new(resources.clone(), node, modules));
        if state.set(Arc::new(Projects::new(door))).is_err() {
            tracing::debug!("a door was opened twice; it continues to answer from its first node");
        }
        // A reload that came meanwhile has not reached the state.
        if let Some(state) = state.get() {
            state.default().reload(&resources.config());
        }
    }
}

impl Handler for Service {
    type Answer = Whole;
    type Sent = Whole;

    fn answer(self, request: Request<Incoming>, client: Client) -> impl Future<Output = Answer> + Send + 'static {
        answer(self, request, client)
    }

    fn is_exempt(&self, address: IpAddr, certificate: Option<&PeerIdentity>) -> bool {
        let name = certificate.map(access::certificate_name);
        self.shared.resources.guard.trust.believes(address, name.as_deref())
    }

    fn is_vital(&self, request: &Request<Incoming>) -> bool {
        let found = routes::find(request.method(), split_path(request.uri().path()).1);
        matches!(found, Found::Endpoint(endpoint, _) if endpoint.is_vital())
    }

    fn overloaded(&self, request: &Request<Incoming>) -> Answer {
        service::failed(Failure::overloaded(), routes::is_feast_path(split_path(request.uri().path()).1))
    }

    fn panicked(&self) -> Answer {
        metrics::counter!("littoral_door_panics_total").increment(1);
        Failure::internal().as_problem()
    }

    fn send(&self, answer: Answer, sending: &Sending<'_>) -> Response<Watched<Whole>> {
        Whole::send(answer, sending, &self.shared.resources.answers, full)
    }
}

/// Returns the answer that replaces one for which there is no memory.
pub(crate) fn full(exceeded: Exceeded) -> Answer {
    Failure::from(exceeded).as_problem()
}

async fn answer(service: Service, request: Request<Incoming>, client: Client) -> Answer {
    let Service { shared, side, browsers } = service;
    let path = split_path(request.uri().path()).1;
    let feast = routes::is_feast_path(path);
    if let Err(rejected) = browsers.check(request.uri(), request.headers()) {
        return service::failed(Failure::new(StatusCode::FORBIDDEN, rejected.code, rejected.message), feast);
    }
    if let Some(state) = shared.state.get() {
        return service::answer(state.clone(), request, client, side).await;
    }
    // Metrics are available from the start, for operators who watch it.
    let is_open = shared.resources.guard.authenticator.is_none() || side == Side::Admin { is_open: true };
    if path == "/metrics"
        && is_open
        && let Some(metrics) = &shared.resources.process.metrics
    {
        return v1::rendered(metrics);
    }
    let message = format!("this node is starting: {}; retry in a moment", (shared.starting)());
    service::failed(Failure::new(StatusCode::SERVICE_UNAVAILABLE, code::STARTING, message), feast)
}
