//! One attempt: a request sent to one door.

use crate::{
    board::InFlight,
    decision::door::Door,
    gateway::{
        answer::{Answer, Passed},
        outgoing::Outgoing,
        pool::Pool,
        traced::{self, Why},
        upstream::{Failed, Upstream},
        verdict::is_over_share,
    },
    router::Router,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use littoral_http::{BodyBudget, Held, Loads};
use littoral_runtime::{
    Occasional,
    trace::{self, Span, TraceContext},
};
use std::sync::Arc;

/// The resources that attempts share.
pub(crate) struct Doors {
    pub(crate) router: Router,
    pub(crate) pool: Arc<Pool>,
    pub(crate) budget: BodyBudget,
    /// The log of doors that reject clients for their share.
    pub(crate) over_share: Occasional,
}

/// A request without its body.
pub(crate) struct Template {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// Whether a small answer is held until it is complete.
    pub(crate) hold: bool,
    /// What a held answer counts towards.
    pub(crate) loads: Loads,
    /// The trace of the request; `None` without one.
    pub(crate) context: Option<TraceContext>,
}

/// Why an attempt has no answer.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// No connection: nothing was sent.
    Unreached(String),
    /// The connection was lost: the door may have accepted the request.
    Lost(String),
}

impl AttemptError {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Unreached(reason) | Self::Lost(reason) => reason,
        }
    }
}

impl Template {
    /// Returns the request to one door, within the span of the attempt.
    pub(crate) fn request(&self, door: &Door, body: Outgoing, span: &Span) -> Request<Outgoing> {
        let mut headers = self.headers.clone();
        if let Some(context) = span.context().as_ref().or(self.context.as_ref()) {
            trace::insert(&mut headers, context);
        }
        if let Ok(host) = HeaderValue::try_from(&door.address) {
            headers.insert(header::HOST, host);
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

impl Doors {
    /// Returns a connection to a door: a kept one, or a new one.
    pub(crate) async fn connect(&self, door: &Door) -> Result<Upstream, AttemptError> {
        self.router.may_use(door).map_err(AttemptError::Unreached)?;
        if let Some(kept) = self.pool.take(door.id) {
            return Ok(kept);
        }
        let connect_timeout = self.router.bounds().connect_timeout();
        let connected = Upstream::connect(door, self.router.tls(), connect_timeout).await;
        connected.map_err(|error| AttemptError::Unreached(format!("{}: {error}", door.address)))
    }

    /// Sends a request to a door and returns its answer.
    pub(crate) async fn attempt(
        &self,
        template: &Template,
        door: &Door,
        in_flight: InFlight,
        body: Outgoing,
        which: (usize, Why),
    ) -> Result<Response<Answer>, AttemptError> {
        let span = traced::attempt(template.context.as_ref(), door, which);
        let request = template.request(door, body, &span);
        let sent = match self.connect(door).await {
            Ok(upstream) => self.send(upstream, template, door, in_flight, request).await,
            Err(unreached) => Err(unreached),
        };
        traced::end_attempt(span, &sent);
        sent
    }

    /// Sends a request over a connection.
    pub(crate) async fn send(
        &self,
        mut upstream: Upstream,
        template: &Template,
        door: &Door,
        in_flight: InFlight,
        request: Request<Outgoing>,
    ) -> Result<Response<Answer>, AttemptError> {
        let lost = |error: &dyn std::fmt::Display| AttemptError::Lost(format!("{}: {error}", door.address));
        let response = match upstream.send(request).await {
            Ok(response) => response,
            // The kept connection was closed at this moment, and nothing was sent: use a new one.
            Err(Failed { unsent: Some(request), .. }) if upstream.is_reused() => {
                upstream = self.connect(door).await?;
                upstream.send(*request).await.map_err(|failed| lost(&failed.error))?
            }
            Err(Failed { unsent: Some(_), error }) => {
                return Err(AttemptError::Unreached(format!("{}: {error}", door.address)));
            }
            Err(failed) => return Err(lost(&failed.error)),
        };
        if is_over_share(&response) && self.over_share.take_turn() {
            tracing::warn!(
                door = %door.address,
                "a door rejected a request because its client uses more than its share of the door; if this concerns \
                 many clients, add the router's address or identity to auth.trust at the door, which otherwise counts \
                 all of them as one"
            );
        }
        let (parts, body) = response.into_parts();
        if body.is_end_stream() {
            // An empty body is never polled, so its end would not be noticed.
            self.pool.put(door.id, upstream);
            return Ok(Response::from_parts(parts, Answer::whole(Bytes::new())));
        }
        let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let most = self.router.bounds().answer_bytes_held_max;
        let length = length.filter(|length| template.hold && *length <= most);
        let held = length.and_then(|length| {
            let mut held = Held::by(&template.loads);
            self.budget.grow(&mut held, length).ok().map(|()| held)
        });
        let Some(held) = held else {
            let passed = Passed {
                body,
                upstream: Some(upstream),
                pool: self.pool.clone(),
                door: door.id,
                in_flight: Some(in_flight),
                stall: self.router.bounds().stall_timeout(),
                waiting: None,
            };
            return Ok(Response::from_parts(parts, Answer::passed(passed)));
        };
        let bytes = upstream.drive(whole(body)).await.map_err(|error| lost(&error))?;
        self.pool.put(door.id, upstream);
        drop(in_flight);
        Ok(Response::from_parts(parts, Answer::held(bytes, held)))
    }
}

/// Reads a body of a known, small length.
async fn whole(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        match &mut rest {
            None if first.is_empty() => first = data,
            rest => {
                let joined = rest.get_or_insert_with(|| BytesMut::from(&first[..]));
                joined.extend_from_slice(&data);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}
