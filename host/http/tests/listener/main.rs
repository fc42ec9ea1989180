//! Listeners with real sockets: TLS, clients that open too many connections, and floods of HTTP/2 frames.

#[path = "../support/alone.rs"]
mod alone;
mod floods;
mod places;
mod request_id;
mod tls;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use littoral_http::{BodyBudget, Client, Handler, Limits, PeerIdentity, Process, Sending, Watched, Whole, serve};
use littoral_runtime::request_id::{current, inherit};
use littoral_tls::Role;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough on a busy machine for anything that should happen at once.
const SOON: Duration = Duration::from_secs(60);

/// Answers with the identity of the client. A request to `/hold` waits while the test holds it, `/id` is answered with
/// the id of the request, `/counts` with whether the request counts for the client's address, and `/panic` panics.
/// `/health` is vital. Every answer states whether it counts for the client's address.
#[derive(Clone)]
struct Answers {
    budget: BodyBudget,
    hold: Arc<watch::Sender<bool>>,
    /// The number of requests to `/hold` that have begun.
    held: Arc<watch::Sender<usize>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { budget: BodyBudget::new(1 << 20, 1 << 20), hold: Arc::default(), held: Arc::default() }
    }
}

impl Handler for Answers {
    type Answer = Whole;
    type Sent = Whole;

    fn answer(
        self,
        request: Request<Incoming>,
        client: Client,
    ) -> impl Future<Output = Response<Whole>> + Send + 'static {
        let identity = request.extensions().get::<PeerIdentity>().cloned();
        assert_eq!(identity, client.identity);
        let text = identity.and_then(|identity| Some(identity.identity.as_ref()?.to_string()));
        let counts = client.load.is_some();
        async move {
            if request.uri().path() == "/counts" {
                return Response::new(Whole::small(Bytes::from(counts.to_string())));
            }
            if request.uri().path() == "/hold" {
                self.held.send_modify(|held| *held += 1);
                let _ = self.hold.subscribe().wait_for(|holds| !holds).await;
            }
            assert_ne!(request.uri().path(), "/panic", "as the test requests");
            if request.uri().path() == "/id" {
                let id = tokio::spawn(inherit(async { current() })).await.unwrap();
                return Response::new(Whole::small(Bytes::from(id.unwrap().to_string())));
            }
            Response::new(Whole::small(Bytes::from(text.unwrap_or_else(|| "nobody".to_owned()))))
        }
    }

    /// Proxies have addresses from 127.0.9.1 on, or the certificate of a router.
    fn is_exempt(&self, address: IpAddr, certificate: Option<&PeerIdentity>) -> bool {
        let identity = certificate.and_then(|certificate| certificate.identity.as_ref());
        matches!(address, IpAddr::V4(address) if address.octets()[..3] == [127, 0, 9])
            || identity.is_some_and(|identity| identity.role == Role::Router)
    }

    fn is_vital(&self, request: &Request<Incoming>) -> bool {
        request.uri().path() == "/health"
    }

    fn overloaded(&self, _: &Request<Incoming>) -> Response<Whole> {
        let mut response = Response::new(Whole::small(Bytes::from_static(b"overloaded")));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }

    fn panicked(&self) -> Response<Whole> {
        Response::new(Whole::small(Bytes::from_static(b"panicked")))
    }

    fn send(&self, mut answer: Response<Whole>, sending: &Sending<'_>) -> Response<Watched<Whole>> {
        let counted = if sending.loads.address().is_some() { "yes" } else { "no" };
        answer.headers_mut().insert("x-answer-counts", HeaderValue::from_static(counted));
        Whole::send(answer, sending, &self.budget, |_| Response::new(Whole::small(Bytes::new())))
    }
}

fn limits(connections_max: usize) -> Limits {
    Limits {
        connections_max,
        connections_per_address_max: connections_max,
        header_timeout: SOON,
        write_timeout: SOON,
        drain: Duration::from_secs(1),
    }
}

/// A listener without TLS.
struct Listener {
    address: SocketAddr,
    handler: Answers,
    _shutdown: DropGuard,
}

impl Listener {
    async fn open(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown, handler) =
            (listener.local_addr().unwrap(), CancellationToken::new(), Answers::default());
        let (stop, answers) = (shutdown.clone(), handler.clone());
        tokio::spawn(async move { serve(listener, limits, &Process::default(), answers, stop).await });
        Self { address, handler, _shutdown: shutdown.drop_guard() }
    }

    /// Connects from this address.
    async fn connect(&self, from: [u8; 4]) -> Stream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from(from), 0).into()).unwrap();
        Stream(socket.connect(self.address).await.unwrap())
    }

    /// Sends a request that runs until [`Self::release`].
    async fn held(&self, from: [u8; 4]) -> Stream {
        self.handler.hold.send_replace(true);
        let mut begun = self.handler.held.subscribe();
        let before = *begun.borrow_and_update();
        let mut stream = self.connect(from).await;
        stream.send(b"GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await;
        timeout(SOON, begun.wait_for(|held| *held > before)).await.expect("the request runs").unwrap();
        stream
    }

    fn release(&self) {
        self.handler.hold.send_replace(false);
    }

    /// Checks that another client is served.
    async fn serves(&self) {
        assert!(self.connect([127, 0, 0, 250]).await.get("/").await.starts_with("HTTP/1.1 200 OK"));
    }
}

/// A client's end of a connection.
struct Stream(TcpStream);

impl Stream {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Sends a request and returns the answer. Returns nothing if the connection is closed.
    async fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        match self.0.write_all(request.as_bytes()).await {
            Ok(()) => self.answer().await,
            Err(_) => String::new(),
        }
    }

    /// Returns the next answer. The listener's answers arrive in one piece.
    async fn answer(&mut self) -> String {
        let mut buf = vec![0; 4_096];
        let read = timeout(SOON, self.0.read(&mut buf)).await.expect("an answer, or the end");
        String::from_utf8_lossy(&buf[..read.unwrap_or_default()]).into_owned()
    }

    /// Waits for the end of the connection. Returns what was read before.
    async fn end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = timeout(SOON, self.0.read_to_end(&mut rest)).await.expect("the connection is closed");
        rest
    }
}
