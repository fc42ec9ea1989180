//! One request: its endpoint, its body, its answer.

use crate::{
    body,
    failure::{Answer, Failure},
    feast, read,
    receipt::CONCERN,
    room::{COUNTED_FROM, Held},
    routes::{self, Endpoint, Found},
    state::State,
    v1, weight,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use littoral_columnar::ARROW_STREAM;
use littoral_model::{
    read::{ReadAnswer, ReadRequest},
    write::WriteConcern,
};
use littoral_runtime::socket::Peer;
use std::{panic::resume_unwind, sync::Arc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a body that the thread of its connection deals with itself: what is longer would keep its other connections waiting.
const INLINE_BYTES_MAX: usize = 8 << 10;

/// Values of an answer that it deals with itself: about half a millisecond of work.
const INLINE_VALUES_MAX: usize = 16 << 10;

/// A request whose body is there.
struct Whole {
    endpoint: Endpoint,
    /// What the path names.
    name: String,
    parts: Parts,
    body: Bytes,
    /// Whose leaving ends a wait.
    client: Option<Peer>,
    /// Its memory.
    _held: Held,
}

/// Answers a request, whatever it is.
pub(crate) async fn answer(state: Arc<State>, request: Request<Incoming>, client: Option<Peer>) -> Answer {
    let (parts, incoming) = request.into_parts();
    let (endpoint, name) = match routes::find(&parts.method, parts.uri.path()) {
        Found::Endpoint(endpoint, name) => (endpoint, name.into_owned()),
        Found::Methods(methods) => return wrong_method(parts.uri.path(), &methods),
        Found::Nothing => return unknown_path(parts.uri.path()),
    };
    let started = Instant::now();
    // The body first: were a place taken before, clients that trickle theirs could take them all.
    let max = body_max(&state, endpoint);
    let (body, mut held) = match body::read(incoming, max, &state.config, &state.bodies).await {
        Ok(read) => read,
        Err(failure) if endpoint == Endpoint::PutModule && failure.status == StatusCode::PAYLOAD_TOO_LARGE => {
            return failed(Failure::component_too_large(max), endpoint.is_feast());
        }
        Err(failure) => return failed(failure, endpoint.is_feast()),
    };
    if let Err(failure) = weigh(&state, endpoint, &parts.headers, &body, &mut held) {
        return failed(failure, endpoint.is_feast());
    }
    let whole = Whole { endpoint, name, parts, body, client, _held: held };
    if endpoint.is_short()
        && whole.body.len() <= INLINE_BYTES_MAX
        && let Some(answer) = answer_whole(&state, &whole, started, INLINE_VALUES_MAX).await
    {
        return answer;
    }
    let answering = state.workers.spawn({
        let state = state.clone();
        async move { answer_whole(&state, &whole, started, usize::MAX).await }
    });
    // Nobody waits for the answer once the connection is gone.
    match AbortOnDropHandle::new(answering).await {
        Ok(answer) => answer.unwrap_or_else(|| failed(Failure::internal(), endpoint.is_feast())),
        // Counted and answered where all faults are.
        Err(fault) if fault.is_panic() => resume_unwind(fault.into_panic()),
        // The workers have stopped.
        Err(_) => failed(Failure::internal(), endpoint.is_feast()),
    }
}

/// Answers, unless it is a read of more than `values_max` values.
async fn answer_whole(state: &State, whole: &Whole, started: Instant, values_max: usize) -> Option<Answer> {
    let Whole { endpoint, name, parts, body, client, .. } = whole;
    let (endpoint, body) = (*endpoint, body.clone());
    let vital =
        matches!(endpoint, Endpoint::Health | Endpoint::Ready | Endpoint::Fresh | Endpoint::Metrics | Endpoint::Status);
    let place = match waits_for_durability(endpoint, &parts.headers) {
        true => state.places.wait(client.as_ref()),
        false => state.places.run(client.as_ref(), vital),
    };
    let mut place = match place {
        Ok(place) => place,
        Err(failure) => return Some(failed(failure, endpoint.is_feast())),
    };
    let answer = match endpoint {
        Endpoint::FeastRead => {
            read::read(state, &mut place, &parts.headers, body, read::Dialect::Feast, values_max).await.transpose()?
        }
        Endpoint::Read => {
            read::read(state, &mut place, &parts.headers, body, read::Dialect::Native, values_max).await.transpose()?
        }
        Endpoint::FeastPush => feast::push(state, &parts.headers, body).await,
        Endpoint::FeastWrite => feast::write(state, &parts.headers, body).await,
        Endpoint::Health => Ok(Response::new(Full::default())),
        other => v1::answer(state, other, name, parts, body).await,
    };
    let answer = match answer {
        Ok(answer) => state.answers.admit(answer),
        Err(failure) => Err(or_not_ready(state, failure).await),
    };
    let answer = answer.unwrap_or_else(|failure| failed(failure, endpoint.is_feast()));
    state.latency.record(endpoint, answer.status(), started.elapsed());
    Some(answer)
}

/// A failure's answer, counted.
pub(crate) fn failed(failure: Failure, feast: bool) -> Answer {
    metrics::counter!("littoral_gateway_failures_total", "code" => failure.code).increment(1);
    if feast { failure.as_feast() } else { failure.as_problem() }
}

/// A node that has no data yet knows no names. That is not the client's fault, and it passes.
pub(crate) async fn or_not_ready(state: &State, failure: Failure) -> Failure {
    let nothing = ReadRequest::default();
    if !failure.code.starts_with("unknown_") || state.node.read_now(&nothing, &mut ReadAnswer::default()) {
        return failure;
    }
    match state.node.read(&nothing).await {
        Ok(_) => failure,
        Err(not_ready) => not_ready.into(),
    }
}

/// Whether it is a write that other disks than the leader's must have before it is answered.
fn waits_for_durability(endpoint: Endpoint, headers: &HeaderMap) -> bool {
    let writes =
        matches!(endpoint, Endpoint::FeastPush | Endpoint::FeastWrite | Endpoint::WriteRows | Endpoint::WriteViews);
    writes && headers.get(CONCERN).is_some_and(|concern| concern != WriteConcern::Local.to_string().as_str())
}

/// Finds room for what a large body's JSON becomes.
fn weigh(state: &State, endpoint: Endpoint, headers: &HeaderMap, body: &[u8], held: &mut Held) -> Result<(), Failure> {
    let media_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_json = endpoint != Endpoint::PutModule && !media_type.starts_with(ARROW_STREAM.as_bytes());
    if body.len() <= COUNTED_FROM || !is_json {
        return Ok(());
    }
    let bytes = body.len().saturating_add(weight::of_elements(body));
    let max = state.config.bodies_bytes_max.max(body_max(state, endpoint));
    if bytes > max {
        let message = format!(
            "its values would take about {bytes} bytes of memory, more than {max}; send it in parts, or as an Arrow stream"
        );
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
    }
    state.bodies.grow(held, bytes)
}

fn body_max(state: &State, endpoint: Endpoint) -> usize {
    match endpoint {
        Endpoint::FeastPush | Endpoint::FeastWrite | Endpoint::WriteRows | Endpoint::WriteViews => {
            state.config.write_bytes_max
        }
        Endpoint::PutModule => state.config.module_bytes_max,
        _ => state.config.read_bytes_max,
    }
}

fn unknown_path(path: &str) -> Answer {
    if path.starts_with("/v1/") {
        return Failure::not_found("unknown_path", "there is no such path; see /v1/openapi.json").as_problem();
    }
    framework(StatusCode::NOT_FOUND, r#"{"detail":"Not Found"}"#)
}

fn wrong_method(path: &str, methods: &[&'static str]) -> Answer {
    let allow = methods.join(", ");
    let mut answer = if path.starts_with("/v1/") {
        let message = format!("this path takes {allow}");
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message).as_problem()
    } else {
        framework(StatusCode::METHOD_NOT_ALLOWED, r#"{"detail":"Method Not Allowed"}"#)
    };
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// What Feast's web framework says before Feast is asked.
fn framework(status: StatusCode, body: &'static str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
