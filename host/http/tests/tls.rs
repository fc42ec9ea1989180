//! A listener with TLS: the identity of the client in every request, and clients that stop in the middle of a handshake.

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use littoral_http::{BodyBudget, Client, Handler, Limits, PeerIdentity, Process, Sending, Watched, Whole, serve};
use littoral_tls::{
    ClientFiles, Config, Identity, Tls,
    ca::{Ca, LIFETIME, Leaf},
    client_config, files,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// Answers with the identity of the client.
#[derive(Clone)]
struct Identify(BodyBudget);

impl Handler for Identify {
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
        async move { Response::new(Whole::small(Bytes::from(text.unwrap_or_else(|| "nobody".to_owned())))) }
    }

    fn panicked(&self) -> Response<Whole> {
        Response::new(Whole::small(Bytes::from_static(b"panicked")))
    }

    fn send(&self, answer: Response<Whole>, sending: &Sending<'_>) -> Response<Watched<Whole>> {
        Whole::send(answer, sending, &self.0, || Response::new(Whole::small(Bytes::new())))
    }
}

struct Served {
    dir: TempDir,
    ca: Ca,
    port: u16,
    shutdown: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Served {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::init(&dir.path().join("ca"), "prod").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, shutdown) = (listener.local_addr().unwrap().port(), CancellationToken::new());
        let served = Self { dir, ca, port, shutdown };
        let cert = served.issue("littoral://prod/eu/edge/e1");
        let config = Config { cert: Some(cert), trust: Some(served.ca.trust_file()), ..Config::default() };
        let process = Process { tls: Some(Tls::load(&config).unwrap()), ..Process::default() };
        let limits = Limits {
            connections_max: 1,
            header_timeout: Duration::from_millis(500),
            write_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(1),
        };
        let stop = served.shutdown.clone();
        tokio::spawn(async move {
            serve(listener, limits, &process, Identify(BodyBudget::new(1 << 20, 1 << 20)), stop).await
        });
        served
    }

    fn issue(&self, identity: &str) -> PathBuf {
        let identity: Identity = identity.parse().unwrap();
        let file = self.dir.path().join(format!("{}.pem", identity.name));
        let leaf =
            Leaf { identity, dns_names: vec!["localhost".to_owned()], addresses: Vec::new(), lifetime: LIFETIME };
        files::install(&file, &file, &self.ca.issue(&leaf).unwrap()).unwrap();
        file
    }

    /// Sends two requests over one connection. Returns the last line of both answers.
    async fn ask(&self, cert: Option<PathBuf>) -> [String; 2] {
        let client = ClientFiles { ca: Some(self.ca.trust_file()), cert, key: None };
        let connector = TlsConnector::from(Arc::new(client_config(&client).unwrap()));
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            let mut buf = vec![0; 4_096];
            let read = stream.read(&mut buf).await.unwrap();
            let text = String::from_utf8_lossy(&buf[..read]).into_owned();
            answers.push(text.rsplit("\r\n").next().unwrap().to_owned());
        }
        answers.try_into().unwrap()
    }
}

#[tokio::test]
async fn every_request_has_the_identity_of_its_client() {
    let served = Served::start().await;
    assert_eq!(served.ask(None).await, ["nobody", "nobody"]);
    let operator = "littoral://prod/eu/operator/ops";
    assert_eq!(served.ask(Some(served.issue(operator))).await, [operator, operator]);
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_handshake_loses_its_place() {
    let served = Served::start().await;
    // The listener has one place. These three hold it in turn, for the time of a request's head each.
    let mut silent = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    let mut begun = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    begun.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).await.unwrap();
    let mut plain = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(60), served.ask(None)).await;
    assert_eq!(asked.expect("the places become free"), ["nobody", "nobody"]);
    for stream in [&mut silent, &mut begun] {
        let mut buf = [0; 64];
        assert!(matches!(stream.read(&mut buf).await, Ok(0) | Err(_)), "the connection is closed");
    }
}
