//! The router's own endpoints: health, metrics, state, and the explanation of its decisions.

use crate::{
    board::Board,
    decision::{
        coordinates::Coordinates,
        explain::{explain, seen},
        location::{Location, Source},
        select::{Criteria, Purpose},
        view::DoorView,
    },
    gateway::{
        answer::Answer,
        failure::Failure,
        head::{place_of_region, purpose},
    },
    router::Router,
    topology,
};
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use littoral_api::{code, projects::split_path};
use littoral_http::{Process, query::form_parameter};
use littoral_model::{
    position::{Epoch, Position},
    region::Region,
    status::{NodeStatus, Role},
    token::Watermark,
};
use serde_json::{Value, json};
use std::{borrow::Cow, net::IpAddr};

/// Whether a path is for operators: metrics and status. They concern no project, so a path may name any.
pub(crate) fn is_for_admins(path: &str) -> bool {
    let path = split_path(path).1;
    matches!(path, "/metrics" | "/v1/status") || path.starts_with("/router/v1/")
}

/// Whether the router itself answers requests to a path.
pub(crate) fn is_own(path: &str) -> bool {
    matches!(split_path(path).1, "/health" | "/v1/ready") || is_for_admins(path)
}

/// Answers requests to the router itself. Returns `None` for requests to a door.
pub(crate) fn answer(
    router: &Router,
    process: &Process,
    parts: &Parts,
    connection: IpAddr,
) -> Option<Result<Response<Answer>, Failure>> {
    let path = split_path(parts.uri.path()).1;
    if !is_own(path) {
        return None;
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let message = format!("{path} supports GET; to change the topology, change its file");
        return Some(Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, code::WRONG_METHOD, message)));
    }
    Some(match path {
        "/health" => may_serve(router, process).map(|()| typed("application/json", "{}".to_owned())),
        "/v1/ready" => {
            may_serve(router, process).map(|()| typed("application/json", json!({ "ready": true }).to_string()))
        }
        "/v1/status" => node_status(router, process),
        "/metrics" => metrics(process),
        "/router/v1/status" => Ok(status(router, process)),
        "/router/v1/explain" => explained(router, parts.uri.query(), connection),
        _ => {
            let message = "there is /router/v1/status and /router/v1/explain";
            Err(Failure::new(StatusCode::NOT_FOUND, code::UNKNOWN_PATH, message))
        }
    })
}

/// Checks that the router may serve: it is not about to stop, and an edge answers reads.
fn may_serve(router: &Router, process: &Process) -> Result<(), Failure> {
    let rejected = |code, message| Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, message));
    if process.draining.has_begun() {
        return rejected(code::NOT_READY, "it is draining and will stop soon; send requests to another router");
    }
    if !router.board().view.is_usable() {
        return rejected(code::NOTHING_LEFT, "no edge with data answers; see /router/v1/status");
    }
    Ok(())
}

/// Answers with the status of the router as a node. `/router/v1/status` has its doors.
fn node_status(router: &Router, process: &Process) -> Result<Response<Answer>, Failure> {
    let board = router.board();
    let refused = may_serve(router, process).err();
    let count = |is: fn(&DoorView) -> bool| board.view.doors.iter().filter(|door| is(door)).count() as f64;
    let gauges = [("doors", count(|_| true)), ("doors_usable", count(|door| door.usable))];
    let status = NodeStatus {
        name: router.config().name.clone(),
        role: Role::Router,
        region: Region::NONE,
        ready: refused.is_none(),
        not_ready_reason: refused.map(|failure| failure.message).unwrap_or_default(),
        degraded: None,
        epoch: Epoch(0),
        position: Position::default(),
        head: Position::default(),
        staleness_ms: None,
        writable: board.view.regions.iter().any(|region| region.role == topology::Role::Active && region.writable),
        watermark: Watermark::default(),
        lineages: littoral_model::lineage::RegionLineages::default(),
        regions: Vec::new(),
        views: Vec::new(),
        modules: Vec::new(),
        gauges: gauges.map(|(name, count)| (name.to_owned(), count)).into(),
    };
    let mut body = serde_json::to_value(status).map_err(|error| unwritable(&error))?;
    body["build"] = process.build.into();
    body["draining"] = process.draining.has_begun().into();
    body["insecure"] = process.insecure.into();
    Ok(typed("application/json", body.to_string()))
}

fn unwritable(error: &serde_json::Error) -> Failure {
    tracing::error!(%error, "an answer could not be written as JSON");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, "the answer could not be written")
}

fn metrics(process: &Process) -> Result<Response<Answer>, Failure> {
    let Some(metrics) = &process.metrics else {
        return Err(Failure::new(StatusCode::NOT_FOUND, code::NO_METRICS, "this process records no metrics"));
    };
    Ok(typed("text/plain; version=0.0.4; charset=utf-8", metrics.render()))
}

fn status(router: &Router, process: &Process) -> Response<Answer> {
    let board = router.board();
    let view = &board.view;
    let regions: Vec<Value> = (view.regions.iter())
        .map(|region| {
            let doors: Vec<_> = region
                .doors()
                .filter_map(|at| {
                    Some(json!({
                        "kind": view.doors.get(at)?.door.kind,
                        "door": seen(view.doors.get(at)?, board.in_flight(at)),
                    }))
                })
                .collect();
            json!({
                "name": region.name,
                "role": region.role,
                "place": region.coordinates,
                "share": region.share(Purpose::Read),
                "latency_ms": region.latency_ms,
                "readable": region.readable,
                "writable": region.writable,
                "leading": region.leading.and_then(|at| view.doors.get(at)).map(|view| &view.door.name),
                "doors": doors,
            })
        })
        .collect();
    let body = json!({
        "name": router.config().name,
        "role": "router",
        "build": process.build,
        "ready": may_serve(router, process).is_ok(),
        "topology": view.topology,
        "topology_generation": view.generation,
        "topology_problem": router.topology_problem(),
        "hedge_after_ms": router.hedge_after().map(|after| after.as_secs_f64() * 1e3),
        "regions": regions,
    });
    typed("application/json", body.to_string())
}

/// Answers `/router/v1/explain` with `?place=LAT,LON`, `region=NAME` or `address=IP`, and `tenant=`, `method=`,
/// `path=`.
fn explained(router: &Router, query: Option<&str>, connection: IpAddr) -> Result<Response<Answer>, Failure> {
    let board = router.board();
    let place = requested_location(router, &board, query, connection)?;
    let method = form_parameter(query, "method").unwrap_or(Cow::Borrowed("POST"));
    let method = method.to_ascii_uppercase().parse().unwrap_or(Method::POST);
    let path = form_parameter(query, "path").unwrap_or(Cow::Borrowed("/get-online-features"));
    let tenant = form_parameter(query, "tenant");
    let criteria = Criteria {
        purpose: purpose(&method, &path),
        place: place.coordinates,
        tenant: tenant.as_deref(),
        in_flight_max: router.bounds().in_flight_max,
        limit: usize::MAX,
        dice: router.dice(),
    };
    let explanation = explain(&board.view, &criteria, &place, |door| board.in_flight(door));
    let body = serde_json::to_string(&explanation).map_err(|error| unwritable(&error))?;
    Ok(typed("application/json", body))
}

fn requested_location(
    router: &Router,
    board: &Board,
    query: Option<&str>,
    connection: IpAddr,
) -> Result<Location, Failure> {
    if let Some(place) = form_parameter(query, "place") {
        let place = place.parse::<Coordinates>();
        let place =
            place.map_err(|error| Failure::bad_request(code::INVALID_PLACE, format!("parameter place: {error}")))?;
        return Ok(Location::stated(place, Source::PlaceHeader));
    }
    if let Some(region) = form_parameter(query, "region") {
        return place_of_region(board, &region);
    }
    let address = match form_parameter(query, "address") {
        None => connection,
        Some(text) => text.parse().map_err(|_| {
            Failure::bad_request(code::INVALID_ADDRESS, "parameter address: use an IP address, as 203.0.113.7")
        })?,
    };
    Ok(router.location_of(address))
}

fn typed(media_type: &'static str, body: String) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
