//! Request smuggling: messages whose end two HTTP implementations may see at different places, from clients and from
//! doors.
//!
//! A door of raw bytes parses strictly what the router sends. Each case ends with a rejection, or with as many
//! well-formed requests at the door as the client received answers for.

mod door;
mod http2;

use crate::{
    SOON,
    fixture::{Edge, Fixture},
};
use door::{Door, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// The router, and its only door.
struct Route {
    fixture: Fixture,
    door: Door,
}

/// What a case must end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Status 400 without a request at the door.
    Rejected,
    /// One request with this body, and nothing of what follows it.
    One(&'static [u8]),
    /// Either of both.
    Either(&'static [u8]),
}

impl Route {
    async fn open() -> Self {
        let edge = Edge::not_started("west").await;
        let door = Door::serve(edge.address).await;
        Self { fixture: Fixture::start(&[edge], |config| config.gateway.attempts_max = 1).await, door }
    }

    /// Sends these bytes over a new connection and closes it for writing. Returns everything that was received.
    async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.fixture.address).await.unwrap();
        let mut received = Vec::new();
        let exchange = async {
            // Both fail if the router resets the connection: what was received before counts.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut received).await;
        };
        timeout(SOON, exchange).await.expect("the router answers and closes the connection");
        received
    }

    /// Checks that the next request of another client gets its own answer.
    async fn serves(&self, case: &str) {
        let answer = self.fixture.send("GET", "/v1/views/next", &[], "").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "GET /v1/views/next "), "after {case}");
        assert_eq!(self.door.requests().pop().map(|request| request.path), Some("/v1/views/next".to_owned()), "{case}");
    }
}

fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// What follows the ambiguous end of a message: a request that no client has sent.
const SMUGGLED: &str = "GET /v1/views/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The heads of a POST and what follows them.
#[rustfmt::skip]
const CASES: [(&str, &str, End); 41] = [
    ("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Either(b"hello")),
    ("transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Either(b"hello")),
    ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Either(b"hello")),
    ("transfer-encoding: chunked, identity\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: xchunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: \x0bchunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding : chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding\t: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("x: y\r\n transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    ("transfer-encoding:\r\n chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("content-length: 5\r\ncontent-length: 6\r\n\r\n", "hello!", End::Rejected),
    ("content-length: 5\r\ncontent-length: 5\r\n\r\n", "hello", End::Either(b"hello")),
    ("content-length: 5, 6\r\n\r\n", "hello!", End::Rejected),
    ("content-length: 5 5\r\n\r\n", "hello", End::Rejected),
    ("content-length: +5\r\n\r\n", "hello", End::Rejected),
    ("content-length: -5\r\n\r\n", "hello", End::Rejected),
    ("content-length: 0x5\r\n\r\n", "hello", End::Rejected),
    ("content-length: \r\n\r\n", "hello", End::Rejected),
    ("content-length: 18446744073709551621\r\n\r\n", "hello", End::Rejected),
    ("content-length : 5\r\n\r\n", "hello", End::Rejected),
    ("content-length: 5\r\nconnection: content-length\r\n\r\n", "hello", End::One(b"hello")),
    ("transfer-encoding: chunked\r\nconnection: transfer-encoding\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", End::One(b"hello")),
    ("transfer-encoding: chunked\r\n\r\n", "5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", End::One(b"hello")),
    ("transfer-encoding: chunked\r\n\r\n", "5;\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\n\r\n", "5\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n", End::Rejected),
    ("transfer-encoding: chunked\r\ntrailer: content-length\r\n\r\n", "5\r\nhello\r\n0\r\ncontent-length: 50\r\n\r\n", End::One(b"hello")),
    ("x : y\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    ("x y: z\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    (": y\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    ("x\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    ("x: a\rb\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    ("x: a\0b\r\ncontent-length: 5\r\n\r\n", "hello", End::Rejected),
    ("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAQAAP__\r\ncontent-length: 5\r\n\r\n", "hello", End::One(b"hello")),
    ("expect: 100-continue\r\ncontent-length: 5\r\n\r\n", "hello", End::One(b"hello")),
    ("x: y\ncontent-length: 5\n\n", "hello", End::Either(b"hello")),
];

#[tokio::test]
async fn a_request_with_an_ambiguous_end_is_rejected_or_reaches_the_door_as_one_request() {
    let route = Route::open().await;
    for (head, body, end) in CASES {
        let case = format!("{head:?} {body:?}");
        let answer = route.send(format!("POST /v1/rows HTTP/1.1\r\nhost: localhost\r\n{head}{body}").as_bytes()).await;
        let answers = answer.windows(9).filter(|at| *at == b"HTTP/1.1 ").count();
        let rejected = status(&answer) == 400 && answers == 1 && route.door.requests().is_empty();
        let bodies: Vec<_> = route.door.take().into_iter().map(Request::into_body).collect();
        let is_one = |body: &[u8]| bodies == [body] && answer.windows(12).any(|at| at == b"HTTP/1.1 200");
        let fits = match end {
            End::Rejected => rejected,
            End::One(body) => is_one(body),
            End::Either(body) => rejected || is_one(body),
        };
        assert!(fits, "{case} must be {end:?}: {}; at the door: {bodies:?}", String::from_utf8_lossy(&answer));
        route.serves(&case).await;
        route.door.take();
    }
}

/// A client may pipeline. What another implementation takes for the body of the first request is then a request of the
/// same client, and it has an answer of its own.
#[tokio::test]
async fn what_follows_a_request_is_a_request_of_the_same_client() {
    let route = Route::open().await;
    for (head, body) in [
        ("content-length: 5\r\n\r\n", "hello"),
        ("transfer-encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ncontent-length: 100\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let text = format!("POST /v1/rows HTTP/1.1\r\nhost: localhost\r\n{head}{body}{SMUGGLED}");
        let answer = String::from_utf8(route.send(text.as_bytes()).await).unwrap();
        let answers = answer.matches("HTTP/1.1 200").count();
        let requests = route.door.take();
        assert_eq!(requests.len(), answers, "{head:?}: {answer}");
        assert!(requests.first().is_none_or(|request| request.body == b"hello"), "{head:?}");
        route.serves(head).await;
        route.door.take();
    }
}

#[tokio::test]
async fn a_request_line_that_others_may_read_differently_is_rejected_or_forwarded_in_one_form() {
    let route = Route::open().await;
    for line in [
        "GET /v1/views/a b HTTP/1.1",
        "GET  /v1/views/a HTTP/1.1",
        "GET /v1/views/a\tHTTP/1.1",
        "GET /v1/views/a HTTP/1.1 HTTP/1.1",
        "GET /v1/views/a\r HTTP/1.1",
        "GET /v1/views/a HTTP/1.2",
        "GET /v1/views/a http/1.1",
        "GET /v1/views/a",
        "GET v1/views/a HTTP/1.1",
        "G\0T /v1/views/a HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let answer = route.send(format!("{line}\r\nhost: localhost\r\n\r\n").as_bytes()).await;
        assert!(matches!(status(&answer), 0 | 400..500), "{line:?}: {}", String::from_utf8_lossy(&answer));
        assert!(route.door.requests().is_empty(), "{line:?}: {:?}", route.door.take());
        route.serves(line).await;
        route.door.take();
    }
    let absolute = "GET http://localhost/v1/views/a HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(status(&route.send(absolute.as_bytes()).await), 200);
    assert_eq!(route.door.take().pop().map(|request| request.path), Some("/v1/views/a".to_owned()), "in origin form");
}

/// The answer that [`a_hostile_door`] tries to give to another client's request.
const POISON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";

#[tokio::test]
async fn a_hostile_door_answers_no_request_but_its_own() {
    let route = Route::open().await;
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\nok", "y".repeat(100_000));
    for hostile in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx: y\r\n content-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/9 200 OK\r\n\r\n",
        "ok",
        &large,
    ] {
        route.door.answers(format!("{hostile}{POISON}"));
        // A request of which the router holds the answer, and one whose answer it forwards.
        for request in
            ["GET /hostile HTTP/1.1\r\nhost: localhost\r\n\r\n", "HEAD /hostile HTTP/1.1\r\nhost: localhost\r\n\r\n"]
        {
            let answer = route.send(request.as_bytes()).await;
            let text = String::from_utf8_lossy(&answer);
            let head = text.split("\r\n\r\n").next().unwrap_or_default();
            assert_eq!(head.matches("HTTP/1.1 ").count(), usize::from(!head.is_empty()), "{hostile:?}: {text}");
            for _ in 0..3 {
                route.serves(hostile).await;
            }
            route.door.take();
        }
    }
}
