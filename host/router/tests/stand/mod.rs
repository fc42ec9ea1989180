//! A router before stand-ins for edges: small HTTP servers that answer, hesitate or hang up as a test wants.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use littoral_router::{Config, Router, Topology, gateway, probe};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a stand-in does with a request.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Answers with this status.
    Answer(u16),
    /// Answers with this status and a node's own word.
    Says(u16, &'static str),
    /// Answers with nothing.
    Empty,
    /// Answers after a while.
    Slow(Duration),
    /// Answers, and says that it is about to stop.
    Drains,
    /// Hangs up without an answer.
    HangUp,
    /// Sends half of an answer and hangs up.
    Half,
}

/// A stand-in for an edge.
#[derive(Clone)]
pub struct Edge {
    pub name: &'static str,
    pub address: SocketAddr,
    pub deed: Arc<Mutex<Deed>>,
    /// Requests that came, without probes.
    pub requests: Arc<AtomicUsize>,
    /// Connections that were taken.
    pub connections: Arc<AtomicUsize>,
    /// Requests whose work was ended before they were answered.
    pub cancelled: Arc<AtomicUsize>,
    /// `/v1/status`.
    pub status: Arc<Mutex<String>>,
    /// What the last request came with.
    pub headers: Arc<Mutex<http::HeaderMap>>,
}

struct Unfinished(Option<Arc<AtomicUsize>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(cancelled) = self.0.take() {
            cancelled.fetch_add(1, SeqCst);
        }
    }
}

pub const WELL: &str = r#"{"region":"","ready":true,"writable":true,"position":{"lsn":7},"staleness_ms":3}"#;

impl Edge {
    pub async fn start(name: &'static str) -> Self {
        let edge = Self::not_started(name).await;
        edge.clone().serve().await;
        edge
    }

    /// One that refuses connections until it serves.
    pub async fn not_started(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            name,
            address: listener.local_addr().unwrap(),
            deed: Arc::new(Mutex::new(Deed::Answer(200))),
            requests: Arc::default(),
            connections: Arc::default(),
            cancelled: Arc::default(),
            status: Arc::new(Mutex::new(WELL.to_owned())),
            headers: Arc::default(),
        }
    }

    pub async fn serve(self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                self.connections.fetch_add(1, SeqCst);
                let edge = self.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| edge.clone().answer(request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
        if request.uri().path() == "/v1/status" {
            return Ok(Response::new(Body::whole(self.status.lock().clone())));
        }
        self.requests.fetch_add(1, SeqCst);
        self.headers.lock().clone_from(request.headers());
        let mut unfinished = Unfinished(Some(self.cancelled.clone()));
        let path = request.uri().path().to_owned();
        let forwarded = request.headers().get("x-forwarded-for").map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let deed = self.deed.lock().clone();
        let told = format!("{} {path} {} {}", self.name, body.len(), forwarded.unwrap_or_default());
        let answer = match deed {
            Deed::Answer(status) | Deed::Says(status, _) => {
                let mut response = Response::new(Body::whole(told));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                if let Deed::Says(_, word) = deed {
                    response.headers_mut().insert("littoral-error", word.parse().unwrap());
                }
                Ok(response)
            }
            Deed::Empty => {
                let mut response = Response::new(Body(None, false));
                response.headers_mut().insert("content-length", "0".parse().unwrap());
                Ok(response)
            }
            Deed::Drains => {
                let mut response = Response::new(Body::whole(told));
                response.headers_mut().insert("littoral-draining", "1".parse().unwrap());
                Ok(response)
            }
            Deed::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(Response::new(Body::whole(told)))
            }
            Deed::HangUp => Err(std::io::Error::other("hangs up")),
            Deed::Half => {
                let mut response = Response::new(Body::half());
                response.headers_mut().insert("content-length", "1000".parse().unwrap());
                Ok(response)
            }
        };
        unfinished.0 = None;
        answer
    }

    pub fn does(&self, deed: Deed) {
        *self.deed.lock() = deed;
    }

    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub fn count(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

/// A body that is whole, or breaks in the middle.
pub struct Body(Option<Bytes>, bool);

impl Body {
    fn whole(text: String) -> Self {
        Self(Some(text.into()), false)
    }

    fn half() -> Self {
        Self(Some(Bytes::from_static(b"half")), true)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(match (self.0.take(), self.1) {
            (Some(bytes), _) => Some(Ok(http_body::Frame::data(bytes))),
            (None, true) => Some(Err(std::io::Error::other("breaks"))),
            (None, false) => None,
        })
    }
}

/// A topology of regions with one edge each, in this order from west to east.
pub fn topology(edges: &[Edge]) -> String {
    let mut text = "role = \"topology\"\nname = \"t\"\npattern = \"active_active\"\n".to_owned();
    for (index, edge) in edges.iter().enumerate() {
        text += &format!(
            "[[regions]]\nname = \"{0}\"\nlatitude = 0.0\nlongitude = {1}\nedges = [{{ name = \"{0}-1\", door = \"{2}\", \
             addresses = [\"192.0.2.{3}\", \"2001:db8::{3}\"] }}]\n",
            edge.name,
            index as f64 * 30.0,
            edge.address,
            index + 1,
        );
    }
    text + "[[tenants]]\nname = \"pinned\"\nregions = [\"" + edges.last().unwrap().name + "\"]\n"
}

/// A router and a client of it.
pub struct Stand {
    pub router: Router,
    pub address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: CancellationToken,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Stand {
    /// Starts a router before these edges and waits until it has probed them.
    pub async fn start(edges: &[Edge], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.health.interval_ms = 50;
        config.outlier.consecutive_failures = 1_000;
        config.outlier.success_share_min = 0.0;
        config.hedge.quantile = 1.0;
        change(&mut config);
        config.check().unwrap();
        let router = Router::new(config, Topology::parse(&topology(edges)).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(probe::probe(router.clone()));
        tokio::spawn(router.clone().keep_up());
        tokio::spawn(gateway::serve(listener, router.clone(), gateway::Process::default(), stop.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let stand = Self { router, address, client, stop };
        stand.eventually(|view| view.is_known()).await;
        stand
    }

    pub async fn eventually(&self, holds: impl Fn(&littoral_router::decision::view::View) -> bool) {
        for _ in 0..12_000 {
            if holds(&self.router.board().view) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not in time: {:?}", self.router.board().view);
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// A read from this longitude.
    pub async fn read(&self, longitude: &str, headers: &[(&str, &str)]) -> Answer {
        let place = format!("0,{longitude}");
        let all: Vec<_> =
            [("littoral-place", place.as_str()), ("littoral-explain", "1")].iter().chain(headers).copied().collect();
        self.send("POST", "/get-online-features", &all, "{}").await
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
