//! Smuggling through the change from HTTP/2 to HTTP/1.1, in raw frames.

use super::Route;
use crate::SOON;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A literal header, in HPACK.
fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn head(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    pseudo.iter().chain(headers).flat_map(|(name, value)| header(name, value)).collect()
}

#[tokio::test]
async fn no_request_over_http2_becomes_two() {
    const ROWS: &str = "/v1/rows";
    const BODY: &[u8] = b"helloGET /v1/views/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    const VALID_LENGTH: &str = "57";
    let route = Route::open().await;
    for (path, headers) in [
        // The control: this request is valid, and arrives once.
        (ROWS, &[("content-length", VALID_LENGTH)][..]),
        (ROWS, &[("content-length", "5")]),
        (ROWS, &[("content-length", "0")]),
        (ROWS, &[("content-length", "5"), ("content-length", "50")]),
        (ROWS, &[("transfer-encoding", "chunked")]),
        (ROWS, &[("connection", "keep-alive")]),
        (ROWS, &[("upgrade", "h2c")]),
        (ROWS, &[("x", "y\r\ntransfer-encoding: chunked")]),
        (ROWS, &[("x", "y\ntransfer-encoding: chunked")]),
        (ROWS, &[("x", "y\0")]),
        (ROWS, &[("x\r\ntransfer-encoding", "chunked")]),
        (ROWS, &[("x: y\r\ntransfer-encoding", "chunked")]),
        (ROWS, &[("Transfer-Encoding", "chunked")]),
        (ROWS, &[(":path", "/v1/views/smuggled")]),
        ("/v1/rows HTTP/1.1\r\nhost: localhost\r\n\r\nGET /v1/views/smuggled", &[]),
        ("/v1/rows HTTP/1.1", &[]),
        ("v1/rows", &[]),
        ("", &[]),
    ] {
        let case = format!("{path:?} {headers:?}");
        let mut stream = TcpStream::connect(route.fixture.address).await.unwrap();
        let request = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[]),
            frame(1, 4, 1, &head(path, headers)),
            frame(0, 1, 1, BODY),
            // The router closes the connection once it has answered.
            frame(7, 0, 0, &[0; 8]),
        ];
        let exchange = async {
            // Both fail if the router resets the connection.
            let _ = stream.write_all(&request.concat()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        timeout(SOON, exchange).await.expect("the router closes the connection");
        let requests = route.door.take();
        let is_valid = headers == [("content-length", VALID_LENGTH)];
        assert_eq!(requests.len(), usize::from(is_valid), "{case} reached the door: {requests:?}");
        route.serves(&case).await;
        route.door.take();
    }
}
