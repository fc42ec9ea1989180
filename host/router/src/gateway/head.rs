//! The head of a request: everything that its routing depends on.

use crate::{
    board::Board,
    decision::{
        coordinates::Coordinates,
        location::{Location, Source, client_address},
        select::Purpose,
    },
    gateway::{failure::Failure, headers},
    router::Router,
};
use http::{HeaderName, Method, request::Parts};
use littoral_api::{self as api, code, projects::split_path};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use xxhash_rust::xxh3::xxh3_64;

/// How to route a request.
pub(crate) struct Head {
    pub(crate) purpose: Purpose,
    /// Whether it may be sent more than once.
    pub(crate) repeatable: bool,
    pub(crate) place: Location,
    pub(crate) tenant: Option<String>,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
    /// How long one door may take.
    pub(crate) attempt_timeout: Duration,
    pub(crate) explain: bool,
    /// The number that decides among equal doors, if a retried request must use the same.
    pub(crate) dice: Option<u64>,
}

/// Whether errors of a path have Feast's form.
pub(crate) fn is_feast(path: &str) -> bool {
    matches!(split_path(path).1, "/get-online-features" | "/push" | "/write-to-online-store" | "/health")
}

/// Returns the purpose of a request.
pub(crate) fn purpose(method: &Method, path: &str) -> Purpose {
    let reads = *method == Method::GET
        || *method == Method::HEAD
        || *method == Method::OPTIONS
        || (*method == Method::POST && matches!(split_path(path).1, "/get-online-features" | "/v1/read"));
    if reads { Purpose::Read } else { Purpose::Write }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// The address of the connection.
    pub(crate) connection: IpAddr,
    /// Whether the client's headers about its place are accepted.
    pub(crate) is_trusted: bool,
}

impl Head {
    pub(crate) fn read(router: &Router, board: &Board, parts: &Parts, sender: Sender) -> Result<Self, Failure> {
        let config = router.bounds();
        let purpose = purpose(&parts.method, parts.uri.path());
        let tenant = text(parts, &api::headers::TENANT)?;
        let timeout = number(parts, &api::headers::TIMEOUT_MS)?.unwrap_or(config.timeout_ms).min(config.timeout_ms_max);
        let wait = number(parts, &api::headers::WAIT_MS)?.unwrap_or(0).min(config.timeout_ms_max);
        let began = Instant::now();
        Ok(Self {
            purpose,
            repeatable: purpose == Purpose::Read || parts.headers.contains_key(api::headers::IDEMPOTENCY_KEY),
            place: place(router, board, parts, sender)?,
            tenant: tenant.map(str::to_owned),
            began,
            deadline: began + Duration::from_millis(timeout.max(1)),
            attempt_timeout: config.attempt_timeout() + Duration::from_millis(wait),
            explain: parts.headers.get(api::headers::EXPLAIN).is_some_and(|value| value.as_bytes() == b"1"),
            dice: if purpose == Purpose::Write { key_dice(parts) } else { None },
        })
    }

    /// Extends the time of an attempt by the wait that a read demands in its body.
    pub(crate) fn and_body(&mut self, router: &Router, path: &str, body: &[u8]) {
        let most = Duration::from_millis(router.bounds().timeout_ms_max);
        if let Some(wait) = wait_in_body(path, body) {
            self.attempt_timeout = self.attempt_timeout.max(router.bounds().attempt_timeout() + wait.min(most));
        }
    }
}

/// Returns the wait for freshness that the body of a read demands. An edge that waits so long is not slow.
fn wait_in_body(path: &str, body: &[u8]) -> Option<Duration> {
    #[derive(serde::Deserialize)]
    struct Read {
        demand: Option<Demand>,
    }
    #[derive(serde::Deserialize)]
    struct Demand {
        wait_ms: Option<u64>,
    }
    // Most reads demand nothing and are not parsed.
    if split_path(path).1 != "/v1/read" || !body.windows(9).any(|at| at == b"\"wait_ms\"") {
        return None;
    }
    let read: Read = serde_json::from_slice(body).ok()?;
    read.demand?.wait_ms.map(Duration::from_millis)
}

/// Returns the place of the client. The headers of a trusted client take precedence over its address; others are
/// ignored.
fn place(router: &Router, board: &Board, parts: &Parts, sender: Sender) -> Result<Location, Failure> {
    let Sender { connection, is_trusted } = sender;
    if is_trusted && let Some(value) = text(parts, &api::headers::PLACE)? {
        let place = value
            .parse::<Coordinates>()
            .map_err(|error| Failure::bad_request(code::INVALID_PLACE, format!("header littoral-place: {error}")))?;
        return Ok(Location::stated(place, Source::PlaceHeader));
    }
    if is_trusted && let Some(value) = text(parts, &api::headers::REGION)? {
        return place_of_region(board, value);
    }
    if !router.depends_on_addresses() {
        // The place does not depend on the address.
        return Ok(router.location_of(connection));
    }
    let address = client_address(connection, &headers::forwarded(&parts.headers), router.trusted());
    Ok(router.location_of(address))
}

/// Returns the place of a region that a client names.
pub(crate) fn place_of_region(board: &Board, name: &str) -> Result<Location, Failure> {
    let region = board.view.region(name).and_then(|region| board.view.regions.get(region)).ok_or_else(|| {
        let known: Vec<_> = board.view.regions.iter().map(|region| region.name.as_str()).collect();
        let shown: String = name.chars().take(64).collect();
        let message = format!("header littoral-region: there is no region '{shown}'; there are {}", known.join(", "));
        Failure::bad_request(code::UNKNOWN_REGION, message)
    })?;
    Ok(Location::stated(region.coordinates, Source::RegionHeader))
}

/// Returns a number that is equal for equal idempotency keys: a retried write goes to the region that may have accepted
/// it, as long as that region accepts writes.
fn key_dice(parts: &Parts) -> Option<u64> {
    parts.headers.get(api::headers::IDEMPOTENCY_KEY).map(|key| xxh3_64(key.as_bytes()))
}

fn text<'a>(parts: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let Some(value) = parts.headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| {
        Failure::bad_request(code::INVALID_HEADER, format!("header {name}: use visible ASCII characters"))
    })?;
    Ok(Some(text.trim()))
}

fn number(parts: &Parts, name: &HeaderName) -> Result<Option<u64>, Failure> {
    let Some(value) = text(parts, name)? else { return Ok(None) };
    let number = value.parse().map_err(|_| {
        Failure::bad_request(code::INVALID_HEADER, format!("header {name}: use whole milliseconds, as 250"))
    })?;
    Ok(Some(number))
}
