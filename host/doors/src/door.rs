//! A door that is open before its node can answer: until then it says how far the start has come.

use crate::{
    Config, connections,
    failure::{Answer, Failure},
    room::Room,
    routes, service,
    state::State,
    v1,
};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use littoral_model::ports::{ModuleRuntime, Node};
use littoral_runtime::{browsers::Browsers, socket::Peer};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A door on a listener.
pub struct Door {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// Lets a door answer from its node.
#[derive(Clone)]
pub struct Opener(Arc<Shared>);

struct Shared {
    config: Arc<Config>,
    browsers: Browsers,
    /// Memory for large answers.
    answers: Room,
    /// How far the start has come.
    starting: Box<dyn Fn() -> String + Send + Sync>,
    state: OnceLock<Arc<State>>,
}

impl Door {
    /// A door that answers with 503 and what `starting` says until it is opened.
    pub fn new(listener: TcpListener, config: Config, starting: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let browsers = Browsers::new("door", &config.origins, &config.hosts, listener.local_addr().ok());
        let answers = Room::new(config.answers_bytes_max, config.answer_bytes_max);
        let (config, starting) = (Arc::new(config), Box::new(starting));
        Self { listener, shared: Arc::new(Shared { config, browsers, answers, starting, state: OnceLock::new() }) }
    }

    /// What lets it answer from its node.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener(self.shared.clone())
    }

    /// Serves until cancelled, as [`crate::serve`] does.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { listener, shared } = self;
        let (config, answers) = (shared.config.clone(), shared.answers.clone());
        let answer = move |request, client| answer(shared.clone(), request, client);
        connections::serve(listener, &config, &answers, answer, shutdown).await;
    }
}

impl Opener {
    /// From now on the door answers from this node. Large requests are answered on the runtime that this is called on.
    pub fn open(&self, node: Arc<dyn Node>, modules: Arc<dyn ModuleRuntime>) {
        let Shared { config, answers, .. } = &*self.0;
        let state = State::new(config.clone(), answers.clone(), node, modules);
        if self.0.state.set(Arc::new(state)).is_err() {
            tracing::debug!("a door was opened twice; it answers from its first node");
        }
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>, client: Option<Peer>) -> Answer {
    let feast = routes::is_feast_path(request.uri().path());
    if let Err(refused) = shared.browsers.check(request.uri(), request.headers()) {
        return service::failed(Failure::new(StatusCode::FORBIDDEN, refused.code, refused.message), feast);
    }
    if let Some(state) = shared.state.get() {
        return service::answer(state.clone(), request, client).await;
    }
    // An operator who waits looks there.
    if request.uri().path() == "/metrics"
        && let Some(metrics) = &shared.config.metrics
    {
        return v1::rendered(metrics);
    }
    let message = format!("this node is starting: {}; retry in a moment", (shared.starting)());
    service::failed(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "starting", message), feast)
}
