//! The baseline of measurements: serves connections as the doors do, and answers every request with a constant.

use crate::{Config, answer::Answer, body, door, failure::Failure};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use littoral_http::{BodyBudget, Client, Exceeded, Handler, Loads, PeerIdentity, Process, Sending, Watched, Whole};
use littoral_runtime::reactors::Reactors;
use std::{net::IpAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Bare(Arc<Shared>);

struct Shared {
    config: Config,
    bodies: BodyBudget,
    answers: BodyBudget,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers every request with these headers and this body, once the request's own body has been read, until cancelled.
pub async fn serve(
    listener: TcpListener,
    reactors: Reactors,
    headers: HeaderMap,
    body: Bytes,
    shutdown: CancellationToken,
) {
    let (config, process) = (Config::default(), Process { reactors, ..Process::default() });
    let (limits, bodies, answers) = (config.limits(), config.bodies_budget(), config.answers_budget());
    let handler = Bare(Arc::new(Shared { config, bodies, answers, headers, body }));
    littoral_http::serve(listener, limits, &process, handler, shutdown).await;
}

impl Handler for Bare {
    type Answer = Whole;
    type Sent = Whole;

    fn answer(self, request: Request<Incoming>, _: Client) -> impl Future<Output = Answer> + Send + 'static {
        let shared = self.0;
        async move {
            let Shared { config, bodies, .. } = &*shared;
            match body::read(
                request.into_body(),
                config.read_bytes_max,
                config.body_timeout(),
                bodies,
                &Loads::default(),
            )
            .await
            {
                Ok(_) => {
                    let mut response = Response::new(Whole::small(shared.body.clone()));
                    *response.headers_mut() = HeaderMap::clone(&shared.headers);
                    response
                }
                Err(failure) => failure.as_problem(),
            }
        }
    }

    fn is_exempt(&self, _: IpAddr, _: Option<&PeerIdentity>) -> bool {
        true
    }

    fn is_vital(&self, _: &Request<Incoming>) -> bool {
        false
    }

    fn overloaded(&self, _: &Request<Incoming>) -> Answer {
        door::full(Exceeded::Bound)
    }

    fn panicked(&self) -> Answer {
        Failure::internal().as_problem()
    }

    fn send(&self, answer: Answer, sending: &Sending<'_>) -> Response<Watched<Whole>> {
        Whole::send(answer, sending, &self.0.answers, door::full)
    }
}
