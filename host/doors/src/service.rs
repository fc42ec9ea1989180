//! One request: from its head to its answer.

use crate::{
    access::{self, Admitted, Side},
    answer::{self, Answer},
    body,
    failure::Failure,
    feast,
    project::{self, Projects, Running},
    read,
    routes::{self, Endpoint, Found},
    slot::{RequestSlot, Requester},
    state::State,
    traced, v1, weight,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use littoral_api::{code, headers::CONCERN, projects::split_path};
use littoral_http::{COUNTED_FROM, Client, Held, Load, Loads, Peer};
use littoral_model::{
    read::{ReadAnswer, ReadRequest},
    write::WriteConcern,
};
use littoral_runtime::{
    request_id,
    trace::{self, Start},
};
use std::{panic::resume_unwind, sync::Arc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

/// The size of a body up to which the connection's own thread answers: a longer one would delay the other connections
/// of that thread.
const INLINE_BYTES_MAX: usize = 8 << 10;

/// The number of values of an answer up to which the connection's own thread writes it: about half a millisecond of
/// work.
const INLINE_VALUES_MAX: usize = 16 << 10;

/// A request to an endpoint, before its body has arrived.
struct Incomplete {
    endpoint: Endpoint,
    /// The name in the path.
    name: String,
    /// The project that the path names.
    project: Option<String>,
    parts: Parts,
    body: Incoming,
    client: Client,
    side: Side,
    started: Instant,
}

/// A request whose body has arrived.
struct Received {
    endpoint: Endpoint,
    /// The name in the path.
    name: String,
    parts: Parts,
    body: Bytes,
    admitted: Admitted,
    /// The client, whose departure ends a wait.
    client: Option<Peer>,
    /// What the request counts towards.
    loads: Loads,
    /// The memory of the body.
    _held: Held,
    /// Counts the request among its project's.
    _running: Option<Running>,
}

/// Answers a request, and records how long it took.
pub(crate) async fn answer(projects: Arc<Projects>, request: Request<Incoming>, client: Client, side: Side) -> Answer {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let (project, path) = split_path(parts.uri.path());
    let (endpoint, name) = match routes::find(&parts.method, path) {
        Found::Endpoint(endpoint, name) => (endpoint, name.into_owned()),
        Found::Methods(methods) => return wrong_method(path, &methods),
        Found::Nothing => return unknown_path(path),
    };
    if side != Side::Door && !access::is_for_admins(endpoint) {
        return unknown_path(path);
    }
    if side == Side::Door && projects.default().config().read_only && endpoint.changes() {
        return failed(Failure::read_only(), endpoint.is_feast());
    }
    let project = project.map(str::to_owned);
    let request = Incomplete { endpoint, name, project, parts, body, client, side, started };
    let answer = respond(&projects, request).await;
    projects.default().latency.record(endpoint, answer.status(), started.elapsed());
    answer
}

/// Answers a request to an endpoint.
async fn respond(projects: &Projects, request: Incomplete) -> Answer {
    let Incomplete { endpoint, name, project, parts, body: incoming, client, side, started } = request;
    let admitted = match project::named(project.as_deref(), &parts.headers) {
        Ok(named) => projects.default().guard.admit(side, (endpoint, &name), named, &parts, &client).await,
        Err(failure) => Err(failure),
    };
    let guard = &projects.default().guard;
    let Start { span, context } = traced::begin(guard, endpoint, &parts, &client, &admitted, started);
    let answer = match admitted {
        Ok(admitted) => {
            let answer = respond_admitted(projects, endpoint, name, (parts, incoming), client, admitted, started);
            trace::within(context, answer).await
        }
        Err(failure) => {
            if access::is_audited(endpoint) {
                access::audit_rejected(&parts, &client, &failure);
            }
            failed(failure, endpoint.is_feast())
        }
    };
    traced::end(span, &answer);
    answer
}

/// Answers an admitted request.
async fn respond_admitted(
    projects: &Projects,
    endpoint: Endpoint,
    name: String,
    (parts, incoming): (Parts, Incoming),
    client: Client,
    admitted: Admitted,
    started: Instant,
) -> Answer {
    let project = match endpoint {
        // The write belongs to the project of the conflict's view.
        Endpoint::ReplayConflict => v1::conflicts::project_of(projects.default(), &name),
        _ => admitted.project().clone(),
    };
    if endpoint.is_in_project() {
        request_id::set_project(&project);
    }
    // After the scopes: a client cannot find out which projects exist.
    let state = match projects.get(&project, matches!(endpoint, Endpoint::FeastRead | Endpoint::Read)) {
        Ok(state) => state,
        Err(failure) => return failed(or_not_ready(projects.default(), failure).await, endpoint.is_feast()),
    };
    // Before the body is read: a router that has not sent it yet can then send it to a door of another region.
    if endpoint.is_in_project()
        && endpoint.concerns_rows()
        && let Err(failure) = project::check_own_residency(&state)
    {
        return failed(failure, endpoint.is_feast());
    }
    // Then the body: clients that send their body slowly must not hold slots in the meantime.
    let (max, loads) = (body_max(&state, endpoint), loads(&state, &parts, &client, &admitted));
    let read = match endpoint.is_vital() {
        // Its body means nothing, and strangers could hold memory with it.
        true => Ok((Bytes::new(), Held::default())),
        false => body::read(incoming, max, state.config().body_timeout(), &state.bodies, &loads).await,
    };
    let (body, mut held) = match read {
        Ok(read) => read,
        Err(failure) if endpoint == Endpoint::PutModule && failure.status == StatusCode::PAYLOAD_TOO_LARGE => {
            return failed(Failure::component_too_large(max), endpoint.is_feast());
        }
        Err(failure) => return failed(failure, endpoint.is_feast()),
    };
    if let Err(failure) = weigh(&state, endpoint, &parts.headers, &body, &mut held) {
        return failed(failure, endpoint.is_feast());
    }
    let running = match endpoint.is_in_project() {
        true => project::admit(&state, Instant::now()).map(Some),
        false => Ok(None),
    };
    let running = match running {
        Ok(running) => running,
        Err(failure) => return failed(failure, endpoint.is_feast()),
    };
    let (client, _held, _running) = (client.peer, held, running);
    let whole = Received { endpoint, name, parts, body, admitted, client, loads, _held, _running };
    if endpoint.is_short()
        && whole.body.len() <= INLINE_BYTES_MAX
        && let Some(answer) = whole.admitted.scope(answer_whole(&state, &whole, started, INLINE_VALUES_MAX)).await
    {
        return answer;
    }
    let answering = state.workers.spawn({
        let state = state.clone();
        request_id::inherit(
            async move { whole.admitted.scope(answer_whole(&state, &whole, started, usize::MAX)).await },
        )
    });
    // Aborted when the connection ends, as then no client waits for the answer.
    match AbortOnDropHandle::new(answering).await {
        Ok(answer) => answer.unwrap_or_else(|| failed(Failure::internal(), endpoint.is_feast())),
        // The connection counts and answers it like every panic.
        Err(fault) if fault.is_panic() => resume_unwind(fault.into_panic()),
        // The workers have stopped.
        Err(_) => failed(Failure::internal(), endpoint.is_feast()),
    }
}

/// Returns what a request counts towards. A trusted proxy names the client.
fn loads(state: &State, parts: &Parts, client: &Client, admitted: &Admitted) -> Loads {
    let trust = &state.guard.trust;
    let has_trusted_credential = admitted.who().is_some_and(|who| trust.names(who));
    let of_client = |_: &Arc<Load>| !has_trusted_credential;
    let behind = || {
        let is_proxy = !trust.everyone || trust.lists(client.address);
        is_proxy.then(|| state.behind.load(&parts.headers, |address| trust.lists(address)))?
    };
    let address = client.load.clone().filter(of_client).or_else(behind);
    Loads::new(address, admitted.load().filter(of_client))
}

/// Answers a request. Returns `None` for a read of more than `values_max` values.
async fn answer_whole(state: &State, whole: &Received, started: Instant, values_max: usize) -> Option<Answer> {
    let Received { endpoint, name, parts, body, client, loads, .. } = whole;
    let (endpoint, body) = (*endpoint, body.clone());
    let requester = Requester { peer: client.as_ref(), loads };
    let slot = match waits_for_durability(endpoint, &parts.headers) {
        true => RequestSlot::wait(state, requester),
        false => RequestSlot::run(state, requester, endpoint.is_vital()),
    };
    let mut slot = match slot {
        Ok(slot) => slot,
        Err(failure) => return Some(failed(failure, endpoint.is_feast())),
    };
    let answer = match endpoint {
        Endpoint::FeastRead => {
            read::read(state, &mut slot, &parts.headers, body, read::Dialect::Feast, values_max, started)
                .await
                .transpose()?
        }
        Endpoint::Read => {
            read::read(state, &mut slot, &parts.headers, body, read::Dialect::Native, values_max, started)
                .await
                .transpose()?
        }
        Endpoint::FeastPush => feast::push(state, &parts.headers, body).await,
        Endpoint::FeastWrite => feast::write(state, &parts.headers, body).await,
        Endpoint::Health => Ok(answer::empty()),
        other => v1::answer(state, other, name, parts, body).await,
    };
    let answer = match answer {
        // Operators and routers need it while clients use all of the memory.
        Ok(answer) if endpoint.is_vital() => Ok(answer),
        Ok(answer) => admit(state, answer, loads),
        Err(failure) => Err(state.or_unknown_project(or_not_ready(state, failure).await).within(&state.project)),
    };
    let answer = answer.unwrap_or_else(|failure| failed(failure, endpoint.is_feast()));
    if access::is_audited(endpoint) {
        access::audit(parts, &state.project, answer.status());
    }
    Some(answer)
}

/// Gives a large answer its share of the memory for answers.
fn admit(state: &State, answer: Answer, loads: &Loads) -> Result<Answer, Failure> {
    let (parts, body) = answer.into_parts();
    Ok(Response::from_parts(parts, body.admit(&state.answers, loads)?))
}

/// Returns the answer to a failed request, and counts it.
pub(crate) fn failed(failure: Failure, feast: bool) -> Answer {
    metrics::counter!("littoral_door_errors_total", "code" => failure.code).increment(1);
    if feast { failure.as_feast() } else { failure.as_problem() }
}

/// Replaces an error about an unknown name if the node has no data yet, as that is not the client's fault.
pub(crate) async fn or_not_ready(state: &State, failure: Failure) -> Failure {
    let nothing = ReadRequest::default();
    if !failure.code.starts_with("unknown_") || state.node.read_local(&nothing, &mut ReadAnswer::default()) {
        return failure;
    }
    match state.node.read(&nothing).await {
        Ok(_) => failure,
        Err(not_ready) => not_ready.into(),
    }
}

/// Whether the request is a write that must be durable at other nodes than the leader before it is answered.
fn waits_for_durability(endpoint: Endpoint, headers: &HeaderMap) -> bool {
    endpoint.writes_rows()
        && headers.get(CONCERN).is_some_and(|concern| concern != WriteConcern::Local.to_string().as_str())
}

/// Reserves the memory that a large body's JSON needs.
fn weigh(state: &State, endpoint: Endpoint, headers: &HeaderMap, body: &[u8], held: &mut Held) -> Result<(), Failure> {
    let is_json = endpoint != Endpoint::PutModule && !v1::rows::is_arrow(headers);
    if body.len() <= COUNTED_FROM || !is_json {
        return Ok(());
    }
    let bytes = body.len().saturating_add(weight::of_elements(body));
    let max = state.config().bodies_bytes_max.max(body_max(state, endpoint));
    if bytes > max {
        let message = format!(
            "its values would use about {bytes} bytes of memory, more than {max}; send it in parts, or as an Arrow stream"
        );
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, code::BODY_TOO_LARGE, message));
    }
    Ok(state.bodies.grow(held, bytes)?)
}

fn body_max(state: &State, endpoint: Endpoint) -> usize {
    match endpoint {
        _ if endpoint.writes_rows() => state.config().write_bytes_max,
        Endpoint::PutModule => state.config().module_bytes_max,
        _ => state.config().read_bytes_max,
    }
}

fn unknown_path(path: &str) -> Answer {
    if path.starts_with("/v1/") {
        return Failure::not_found(code::UNKNOWN_PATH, "there is no such path; see /v1/openapi.json").as_problem();
    }
    framework(StatusCode::NOT_FOUND, r#"{"detail":"Not Found"}"#)
}

fn wrong_method(path: &str, methods: &[&'static str]) -> Answer {
    let allow = methods.join(", ");
    let mut answer = if path.starts_with("/v1/") {
        let message = format!("this path supports {allow}");
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, code::WRONG_METHOD, message).as_problem()
    } else {
        framework(StatusCode::METHOD_NOT_ALLOWED, r#"{"detail":"Method Not Allowed"}"#)
    };
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// Returns an answer of Feast's web framework, for paths and methods that Feast does not have.
fn framework(status: StatusCode, body: &'static str) -> Answer {
    let mut response = answer::json(body);
    *response.status_mut() = status;
    response
}
