//! Handles a request: decides, sends, answers.

use crate::{
    board::Board,
    decision::{
        health::State,
        reason::Shown,
        select::{Criteria, Purpose},
        view::DoorView,
    },
    gateway::{
        answer::Answer,
        attempt::{Doors, Template},
        body::{self, RequestBody},
        failure::Failure,
        head::{Head, Sender, is_feast, purpose},
        headers,
        latency::Latency,
        own,
        pool::Pool,
        request_driver::{RequestDriver, RoutedAnswer},
        stream, traced,
    },
    router::Router,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use littoral_api::{self as api, code};
use littoral_auth::Trust;
use littoral_http::{
    Behind, BodyBudget, Client, Handler, Kind, Loads, Peer, PeerIdentity, Process, Sending, Shares, Watched,
    browsers::{Browsers, Rejected},
};
use littoral_runtime::{
    Occasional, request_id,
    trace::{self, Span, Start, TraceContext},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

/// The number of doors beyond those that a request may be sent to, as doors that refuse the connection do not count.
const DOORS_TO_SPARE: usize = 5;

/// The requests that a door answered. Kept, as a search by labels costs more than the count.
static ANSWERED: LazyLock<metrics::Counter> =
    LazyLock::new(|| metrics::counter!("littoral_router_requests_total", "outcome" => "answered"));

/// Answers requests. Clones share it.
#[derive(Clone)]
pub(crate) struct Service {
    inner: Arc<Inner>,
    browsers: Arc<Browsers>,
    own: Own,
}

/// Which of the router's own endpoints a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    /// All, besides forwarding requests.
    All,
    /// Health and readiness, besides forwarding requests.
    Health,
    /// All, and no request is forwarded.
    Only,
}

struct Inner {
    /// The clients that may send placement headers.
    trust: Trust,
    process: Process,
    doors: Doors,
    requests: Shares,
    latency: Latency,
    /// The loads of clients behind trusted proxies.
    behind: Behind,
}

/// The trace of a request.
struct Trace<'a> {
    /// The context of its attempts; `None` without a trace.
    context: Option<TraceContext>,
    /// Its span.
    span: &'a mut Span,
}

impl Service {
    /// Creates the service of a gateway that listens on `address`, next to a listener for administration if
    /// `has_admin`.
    pub(crate) fn new(router: Router, process: Process, address: Option<SocketAddr>, has_admin: bool) -> Self {
        let browsers = browsers(&router, address);
        let everyone = address.is_some_and(|address| address.ip().to_canonical().is_loopback());
        let trust = Trust { everyone, ..router.config().trust.clone() };
        let config = &router.config().gateway;
        let budget = BodyBudget::new(config.held_bytes_max, config.read_bytes_max);
        let pool = Arc::new(Pool::new(config.idle_connections_max, config.idle()));
        let inner = Arc::new(Inner {
            trust,
            process,
            requests: Shares::new(Kind::Running, config.requests_max),
            doors: Doors { router, pool, budget, over_share: Occasional::default() },
            latency: Latency::default(),
            behind: Behind::default(),
        });
        Self { inner, browsers, own: if has_admin { Own::Health } else { Own::All } }
    }

    /// Returns the service of the listener for administration.
    pub(crate) fn for_admins(self, address: Option<SocketAddr>) -> Self {
        let browsers = browsers(&self.inner.doors.router, address);
        Self { browsers, own: Own::Only, ..self }
    }

    /// Closes kept connections that are no longer needed, forgets doors that have left the topology, and applies
    /// changed bounds that all requests share.
    pub(crate) fn sweep(&self) {
        let bounds = self.inner.doors.router.bounds().clone();
        self.inner.requests.set_max(bounds.requests_max);
        self.inner.doors.budget.resize(bounds.held_bytes_max, bounds.read_bytes_max);
        let board = self.inner.doors.router.board();
        self.inner.latency.sweep(|door| board.view.doors.iter().any(|view| view.door.id == door));
        // A draining node waits for its connections to end.
        let is_kept = |view: &DoorView| view.state != State::Draining;
        self.inner.doors.pool.sweep(|door| board.view.doors.iter().any(|view| view.door.id == door && is_kept(view)));
    }

    /// Answers a request. The work of a read ends when its client has left.
    async fn respond(self, request: Request<Incoming>, client: Client) -> Response<Answer> {
        let Client { address: connection, peer: client, load, .. } = client;
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let feast = is_feast(parts.uri.path());
        if let Err(Rejected { code, message }) = self.browsers.check(&parts.uri, &parts.headers) {
            count(code);
            return Failure::new(StatusCode::FORBIDDEN, code, message).answer(feast);
        }
        if own::is_for_admins(parts.uri.path()) && self.own == Own::Health {
            return Failure::elsewhere().answer(feast);
        }
        if let Some(own) = own::answer(&self.inner.doors.router, &self.inner.process, &parts, connection) {
            return own.unwrap_or_else(|failure| failure.answer(feast));
        }
        if self.own == Own::Only {
            return Failure::not_forwarded().answer(feast);
        }
        if self.inner.doors.router.bounds().read_only && purpose(&parts.method, parts.uri.path()) == Purpose::Write {
            count(code::READ_ONLY);
            return Failure::read_only().answer(feast);
        }
        let is_trusted = self.inner.trust.believes(connection, None);
        if !is_trusted && let Some(name) = headers::demands_trust(&parts.headers) {
            count(code::HEADER_NOT_TRUSTED);
            return Failure::untrusted(name).answer(feast);
        }
        let proxies = self.inner.doors.router.trusted();
        let behind = || self.inner.behind.load(&parts.headers, |address| proxies.contains(address));
        let loads = Loads::new(load.or_else(|| proxies.contains(connection).then(behind)?), None);
        let sender = Sender { connection, is_trusted };
        let Start { mut span, context } = traced::begin(&parts, is_trusted, began);
        let trace = Trace { context: context.clone(), span: &mut span };
        let routed = trace::within(context, self.route(parts, body, sender, client.as_ref(), &loads, trace)).await;
        let response = routed.unwrap_or_else(|failure| {
            count(failure.code);
            failure.answer(feast)
        });
        traced::end(span, &response);
        response
    }

    async fn route(
        &self,
        parts: Parts,
        body: Incoming,
        sender: Sender,
        client: Option<&Peer>,
        loads: &Loads,
        trace: Trace<'_>,
    ) -> Result<Response<Answer>, Failure> {
        let Sender { connection, .. } = sender;
        let doors = &self.inner.doors;
        let (router, config) = (&doors.router, doors.router.bounds().clone());
        let board = router.board();
        let mut head = Head::read(router, &board, &parts, sender)?;
        let (hold, most) = match head.purpose {
            Purpose::Write => (config.replay_bytes_max.min(config.write_bytes_max), config.write_bytes_max),
            Purpose::Read | Purpose::Name => (config.read_bytes_max, config.read_bytes_max),
        };
        let taking = body::take(body, hold, most, &doors.budget, loads);
        // A client cannot extend this time.
        let until = head.deadline.min(head.began + Duration::from_millis(config.timeout_ms));
        let body = tokio::time::timeout_at(until.into(), taking).await.map_err(|_| {
            littoral_http::body::Error::Broken("it did not arrive within the time that the request allows".to_owned())
        })??;
        if let RequestBody::Whole(bytes, _) = &body {
            head.and_body(router, parts.uri.path(), bytes);
        }
        // The body first: clients that send it slowly must not hold shares in the meantime.
        let share = self.inner.requests.take_owned(loads, 1)?;
        // Decided once the body has arrived, by the view at that time.
        let board = router.board();
        let criteria = Criteria {
            purpose: head.purpose,
            place: head.place.coordinates,
            tenant: head.tenant.as_deref(),
            in_flight_max: config.in_flight_max,
            limit: (config.attempts_max as usize).saturating_add(DOORS_TO_SPARE),
            dice: head.dice.unwrap_or_else(|| router.dice()),
        };
        // Doors of one region may all reject a body by its project, and it cannot be held for a further decision.
        let limit = if matches!(body, RequestBody::Large(..)) { usize::MAX } else { criteria.limit };
        let decision = board.decide(&Criteria { limit, ..criteria });
        if decision.ranked.is_empty() {
            return Err(Failure::nothing_left(nothing(&board, &head)));
        }
        router.deposit();
        let mut template = template(router, parts, &head, connection, loads)?;
        traced::strip(&mut template.headers, sender.is_trusted);
        template.context = trace.context;
        let found = match body {
            RequestBody::Large(forwarded, _held) => {
                let answer = stream::run(doors, &board, &head, &template, forwarded, &decision.ranked).await?;
                RoutedAnswer { started: answer.attempt, answer, board, decision }
            }
            body => {
                let driver =
                    RequestDriver { doors, head: &head, template: &template, body: &body, criteria: &criteria };
                tokio::select! {
                    biased;
                    found = driver.run(board, decision) => found?,
                    () = client_left(client, &head, config.attempt_timeout()) => return Err(Failure::client_left()),
                }
            }
        };
        if head.purpose == Purpose::Read && found.answer.response.status().is_success() {
            router.read_took(head.began.elapsed());
        }
        ANSWERED.increment(1);
        traced::routed(trace.span, &found);
        let ranked = found.decision.ranked.get(found.answer.rank);
        if let Some(view) = ranked.and_then(|ranked| found.board.view.doors.get(ranked.door)) {
            self.inner.latency.record(&view.door, head.began.elapsed());
        }
        Ok(finish(found, &head).map(|answer| answer.keeping(share)))
    }
}

impl Handler for Service {
    type Answer = Answer;
    type Sent = Answer;

    fn answer(
        self,
        request: Request<Incoming>,
        client: Client,
    ) -> impl Future<Output = Response<Answer>> + Send + 'static {
        self.respond(request, client)
    }

    fn is_exempt(&self, address: IpAddr, _: Option<&PeerIdentity>) -> bool {
        self.inner.trust.believes(address, None) || self.inner.doors.router.trusted().contains(address)
    }

    fn is_vital(&self, request: &Request<Incoming>) -> bool {
        own::is_own(request.uri().path())
    }

    fn overloaded(&self, request: &Request<Incoming>) -> Response<Answer> {
        count(code::OVERLOADED);
        Failure::overloaded().answer(is_feast(request.uri().path()))
    }

    fn panicked(&self) -> Response<Answer> {
        count(code::INTERNAL);
        Failure::internal().answer(false)
    }

    /// Over HTTP/1.1 a client that does not read is a write that waits. Over HTTP/2 it must be watched.
    fn send(&self, answer: Response<Answer>, sending: &Sending<'_>) -> Response<Watched<Answer>> {
        let watched = |body: &Answer| sending.is_http2 && !body.is_end_stream();
        answer.map(|body| if watched(&body) { sending.unread.watch_stream(body) } else { Watched::not(body) })
    }
}

fn browsers(router: &Router, address: Option<SocketAddr>) -> Arc<Browsers> {
    let config = &router.config().gateway;
    Arc::new(Browsers::new("router.gateway", &config.origins, &config.hosts, address))
}

/// Returns once the client of a read has left. A client that only closed its sending side is still answered, if it
/// demands no wait.
async fn client_left(client: Option<&Peer>, head: &Head, grace: Duration) {
    match client.filter(|_| head.purpose == Purpose::Read) {
        Some(client) => {
            client.closed().await;
            tokio::time::sleep(grace).await;
        }
        None => std::future::pending().await,
    }
}

/// Returns the request to a door, without its body.
fn template(
    router: &Router,
    parts: Parts,
    head: &Head,
    connection: IpAddr,
    loads: &Loads,
) -> Result<Template, Failure> {
    let mut headers = parts.headers;
    headers::strip(&mut headers);
    // The body determines its framing.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    // The router has checked it, and a door has its own origins.
    headers.remove(header::ORIGIN);
    headers::forwarded_for(&mut headers, connection, |address| router.trusted().contains(address));
    if let Some(id) = request_id::current() {
        headers.insert(request_id::HEADER, id.into_value());
    }
    // A door could read another form as something else than a path.
    let path = parts.uri.path_and_query().filter(|path| path.as_str().starts_with('/')).cloned();
    let uri = path.and_then(|path| Uri::builder().path_and_query(path).build().ok());
    let uri = uri.ok_or_else(|| Failure::bad_request(code::INVALID_PATH, "the request names no path"))?;
    let hold = head.purpose == Purpose::Read && parts.method != Method::HEAD;
    Ok(Template { method: parts.method, uri, headers, hold, loads: loads.clone(), context: None })
}

fn finish(found: RoutedAnswer, head: &Head) -> Response<Answer> {
    let RoutedAnswer { answer, board, decision, started } = found;
    let mut response = answer.response;
    headers::strip(response.headers_mut());
    // The door's version is that of its own connection.
    *response.version_mut() = Version::default();
    if head.explain
        && let Some(ranked) = decision.ranked.get(answer.rank)
        && let Some(view) = board.view.doors.get(ranked.door)
    {
        let to = format!("{}/{}", view.door.region, view.door.name);
        let mut reason = Shown { reason: decision.reason, view: &board.view }.to_string();
        if answer.attempt > 1 {
            let nth = answer.attempt;
            reason = format!("attempt {nth} of {started}: the one before failed or was slow ({reason})");
        }
        let took = head.began.elapsed().as_micros();
        let reason =
            format!("{reason}; place={}; cost={:.1}ms; took={took}us", head.place.source.as_str(), ranked.cost_ms);
        for (name, value) in [(api::headers::ROUTED_TO, to), (api::headers::ROUTE_REASON, reason)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

/// Describes the doors that the request needs and of which there is none.
fn nothing(board: &Board, head: &Head) -> &'static str {
    let pinned = head.tenant.as_deref().is_some_and(|tenant| board.view.pin(tenant).is_some());
    match (head.purpose, pinned) {
        (Purpose::Write, true) => "no active region of this tenant that accepts writes",
        (Purpose::Write, false) => "no active region that accepts writes",
        (_, true) => "no edge in this tenant's regions",
        (_, false) => "no edge in any region",
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("littoral_router_requests_total", "outcome" => outcome).increment(1);
}
