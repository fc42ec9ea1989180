//! What the router answers itself: its health, its metrics, its state, and why requests go where they go.

use crate::{
    board::Board,
    decision::{
        coordinates::Coordinates,
        explain::{explain, seen},
        place::{Place, Source},
        select::{Ask, Purpose},
        view::MemberView,
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
use littoral_model::{
    position::{Epoch, Position},
    region::Region,
    status::{NodeStatus, Role},
    token::Watermark,
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::{borrow::Cow, net::IpAddr};

/// Answers what is asked of the router itself; `None` for what is a door's to answer.
pub(crate) fn answer(router: &Router, parts: &Parts, connection: IpAddr) -> Option<Result<Response<Answer>, Failure>> {
    let path = parts.uri.path();
    let own = matches!(path, "/health" | "/metrics" | "/v1/status" | "/v1/ready") || path.starts_with("/router/v1/");
    if !own {
        return None;
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let message = format!("{path} takes GET; the topology is changed by changing its file");
        return Some(Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)));
    }
    Some(match path {
        "/health" => may_serve(router).map(|()| typed("application/json", "{}".to_owned())),
        "/v1/ready" => may_serve(router).map(|()| typed("application/json", json!({ "ready": true }).to_string())),
        "/v1/status" => node_status(router),
        "/metrics" => metrics(router),
        "/router/v1/status" => Ok(status(router)),
        "/router/v1/explain" => explained(router, parts.uri.query(), connection),
        _ => {
            let message = "there is /router/v1/status and /router/v1/explain";
            Err(Failure::new(StatusCode::NOT_FOUND, "unknown_path", message))
        }
    })
}

/// Whether requests may be sent to this router: it is not about to stop, and there is somebody who answers reads.
fn may_serve(router: &Router) -> Result<(), Failure> {
    let refused = |code, message| Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, message));
    if router.config().gateway.draining.has_begun() {
        return refused("not_ready", "it is draining: it is about to stop, so send requests to another router");
    }
    if !router.board().view.is_usable() {
        return refused("nothing_left", "no edge that has data is known to answer; look at /router/v1/status");
    }
    Ok(())
}

/// The router as one of the nodes. Its doors are at `/router/v1/status`.
fn node_status(router: &Router) -> Result<Response<Answer>, Failure> {
    let board = router.board();
    let refused = may_serve(router).err();
    let count = |is: fn(&MemberView) -> bool| board.view.members.iter().filter(|member| is(member)).count() as f64;
    let gauges = [("doors", count(|_| true)), ("doors_usable", count(|member| member.usable))];
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
        lives: littoral_model::lives::RegionLives::default(),
        regions: Vec::new(),
        views: Vec::new(),
        modules: Vec::new(),
        gauges: gauges.map(|(name, count)| (name.to_owned(), count)).into(),
    };
    let mut body = serde_json::to_value(status).map_err(|error| unwritable(&error))?;
    body["build"] = router.config().gateway.build.into();
    body["draining"] = router.config().gateway.draining.has_begun().into();
    Ok(typed("application/json", body.to_string()))
}

fn unwritable(error: &serde_json::Error) -> Failure {
    tracing::error!(%error, "an answer could not be written as JSON");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written")
}

fn metrics(router: &Router) -> Result<Response<Answer>, Failure> {
    let Some(metrics) = &router.config().gateway.metrics else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "no_metrics", "this process records no metrics"));
    };
    Ok(typed("text/plain; version=0.0.4; charset=utf-8", metrics.render()))
}

fn status(router: &Router) -> Response<Answer> {
    let board = router.board();
    let view = &board.view;
    let regions: Vec<Value> = (view.regions.iter())
        .map(|region| {
            let doors: Vec<_> = region
                .doors()
                .filter_map(|at| {
                    Some(json!({
                        "kind": view.members.get(at)?.door.kind,
                        "door": seen(view.members.get(at)?, board.in_flight(at)),
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
                "leading": region.leading.and_then(|at| view.members.get(at)).map(|member| &member.door.name),
                "doors": doors,
            })
        })
        .collect();
    let body = json!({
        "name": router.config().name,
        "role": "router",
        "build": router.config().gateway.build,
        "ready": may_serve(router).is_ok(),
        "topology": view.topology,
        "topology_generation": view.generation,
        "topology_problem": router.topology_problem(),
        "hedge_after_ms": router.hedge_after().map(|after| after.as_secs_f64() * 1e3),
        "regions": regions,
    });
    typed("application/json", body.to_string())
}

/// `?place=LAT,LON`, or `region=NAME`, or `address=IP`; `tenant=`, `method=`, `path=`.
fn explained(router: &Router, query: Option<&str>, connection: IpAddr) -> Result<Response<Answer>, Failure> {
    let board = router.board();
    let place = asked_place(router, &board, query, connection)?;
    let method = parameter(query, "method").unwrap_or(Cow::Borrowed("POST"));
    let method = method.to_ascii_uppercase().parse().unwrap_or(Method::POST);
    let path = parameter(query, "path").unwrap_or(Cow::Borrowed("/get-online-features"));
    let tenant = parameter(query, "tenant");
    let ask = Ask {
        purpose: purpose(&method, &path),
        place: place.coordinates,
        tenant: tenant.as_deref(),
        in_flight_max: router.config().gateway.in_flight_max,
        limit: usize::MAX,
        dice: router.dice(),
    };
    let explanation = explain(&board.view, &ask, &place, |member| board.in_flight(member));
    let body = serde_json::to_string(&explanation).map_err(|error| unwritable(&error))?;
    Ok(typed("application/json", body))
}

fn asked_place(router: &Router, board: &Board, query: Option<&str>, connection: IpAddr) -> Result<Place, Failure> {
    if let Some(place) = parameter(query, "place") {
        let place = place.parse::<Coordinates>();
        let place =
            place.map_err(|error| Failure::bad_request("invalid_place", format!("parameter place: {error}")))?;
        return Ok(Place::said(place, Source::PlaceHeader));
    }
    if let Some(region) = parameter(query, "region") {
        return place_of_region(board, &region);
    }
    let address = match parameter(query, "address") {
        None => connection,
        Some(text) => text.parse().map_err(|_| {
            Failure::bad_request("invalid_address", "parameter address: give an IP address, as 203.0.113.7")
        })?,
    };
    Ok(router.place_of(address))
}

/// Returns a parameter of a query, with percent-encoding undone; a malformed value is returned as it is.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let (_, value) = query?.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    if !value.contains(['%', '+']) {
        return Some(Cow::Borrowed(value));
    }
    let spaced = value.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Some(decoded.map_or(Cow::Borrowed(value), |text| Cow::Owned(text.into_owned())))
}

fn typed(media_type: &'static str, body: String) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Some("place=52.5%2C13.4&tenant=a+b&path=%zz");
        assert_eq!(parameter(query, "place").as_deref(), Some("52.5,13.4"));
        assert_eq!(parameter(query, "tenant").as_deref(), Some("a b"));
        assert_eq!(parameter(query, "path").as_deref(), Some("%zz"));
        assert_eq!(parameter(query, "region"), None);
    }
}
