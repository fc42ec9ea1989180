//! A listener with TLS: the identity of the client in every request, and clients that stop in the middle of a
//! handshake.

use crate::{Answers, SOON, limits};
use littoral_http::{Limits, Process, serve};
use littoral_tls::{
    ClientFiles, Config, Identity, Tls,
    ca::{Ca, LIFETIME, Leaf},
    client_config, files,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

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
    async fn start(connections_max: usize) -> Self {
        Self::start_with(Limits { header_timeout: Duration::from_millis(500), ..limits(connections_max) }).await
    }

    async fn start_with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::init(&dir.path().join("ca"), "prod").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, shutdown) = (listener.local_addr().unwrap().port(), CancellationToken::new());
        let served = Self { dir, ca, port, shutdown };
        let cert = served.issue("littoral://prod/eu/edge/e1");
        let config = Config { cert: Some(cert), trust: Some(served.ca.trust_file()), ..Config::default() };
        let process = Process { tls: Some(Tls::load(&config).unwrap()), ..Process::default() };
        let stop = served.shutdown.clone();
        tokio::spawn(async move { serve(listener, limits, &process, Answers::default(), stop).await });
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

    /// Connects from this address.
    async fn connect(&self, from: [u8; 4], cert: Option<PathBuf>) -> TlsStream<TcpStream> {
        let client = ClientFiles { ca: Some(self.ca.trust_file()), cert, key: None };
        let connector = TlsConnector::from(Arc::new(client_config(&client).unwrap()));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let socket = socket.connect(([127, 0, 0, 1], self.port).into()).await.unwrap();
        connector.connect("localhost".try_into().unwrap(), socket).await.unwrap()
    }

    /// Sends two requests over one connection. Returns the last line of both answers.
    async fn ask(&self, cert: Option<PathBuf>) -> [String; 2] {
        let mut stream = self.connect([127, 0, 0, 1], cert).await;
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
    let served = Served::start(10).await;
    assert_eq!(served.ask(None).await, ["nobody", "nobody"]);
    let operator = "littoral://prod/eu/operator/ops";
    assert_eq!(served.ask(Some(served.issue(operator))).await, [operator, operator]);
}

/// Opens connections that stop in the middle of their handshakes: one that sends nothing, and one that sends a part.
async fn stopped(served: &Served) -> [TcpStream; 2] {
    let silent = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    let mut begun = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    begun.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).await.unwrap();
    [silent, begun]
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(SOON, async { stream.read(&mut [0; 64]).await });
    matches!(read.await.expect("the connection is closed"), Ok(0) | Err(_))
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_a_handshake_loses_its_connection() {
    let served = Served::start(10).await;
    let mut stopped = stopped(&served).await;
    let mut plain = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(served.ask(None).await, ["nobody", "nobody"]);
    for stream in &mut stopped {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn a_connection_in_the_middle_of_its_handshake_gives_way() {
    let served = Served::start(1).await;
    let mut stopped = stopped(&served).await;
    let asked = tokio::time::timeout(SOON, served.ask(None)).await;
    assert_eq!(asked.expect("a place is free at once"), ["nobody", "nobody"]);
    for stream in &mut stopped {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn an_identity_that_connects_from_many_addresses_loses_its_own_idle_connections() {
    let served = Served::start_with(Limits { connections_per_address_max: 3, ..limits(100) }).await;
    let mut good = served.connect([127, 0, 0, 9], Some(served.issue("littoral://prod/eu/operator/good"))).await;
    let greedy = served.issue("littoral://prod/eu/operator/greedy");
    let mut idle = Vec::new();
    for last in 10..20 {
        idle.push(served.connect([127, 0, 0, last], Some(greedy.clone())).await);
    }
    for stream in &mut idle[..7] {
        let read = tokio::time::timeout(SOON, stream.read(&mut [0; 64])).await;
        assert!(matches!(read.expect("the connection gives way"), Ok(0) | Err(_)));
    }
    for stream in idle[7..].iter_mut().chain([&mut good]) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0, "its newest connections stay, and those of others");
    }
}

#[tokio::test]
async fn a_router_that_is_trusted_by_its_certificate_has_no_bound_of_its_identity_and_its_requests_do_not_count() {
    let served = Served::start_with(Limits { connections_per_address_max: 3, ..limits(100) }).await;
    let router = served.issue("littoral://prod/eu/router/r1");
    let operator = served.issue("littoral://prod/eu/operator/ops");
    let mut trusted = Vec::new();
    for last in 10..20 {
        trusted.push(served.connect([127, 0, 0, last], Some(router.clone())).await);
    }
    let mut counted = served.connect([127, 0, 0, 30], Some(operator)).await;
    for (stream, (of_request, of_answer)) in
        trusted.iter_mut().map(|stream| (stream, ("false", "no"))).chain([(&mut counted, ("true", "yes"))])
    {
        stream.write_all(b"GET /counts HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(of_request), "{answer}");
        assert!(answer.contains(&format!("x-answer-counts: {of_answer}\r\n")), "{answer}");
    }
}
