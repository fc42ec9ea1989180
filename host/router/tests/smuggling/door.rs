//! A door of raw bytes: it parses strictly what it receives, and answers as the test wants.

use crate::fixture::WELL;
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// The door. Clones share the requests that it received, without probes.
#[derive(Clone, Default)]
pub struct Door {
    requests: Arc<Mutex<Vec<Request>>>,
    /// The answer to `/hostile`.
    hostile: Arc<Mutex<Hostile>>,
}

#[derive(Clone, Default)]
struct Hostile {
    bytes: Vec<u8>,
    /// Whether the door closes the connection after it.
    closes: bool,
}

impl Door {
    pub async fn serve(address: SocketAddr) -> Self {
        let (door, listener) = (Self::default(), TcpListener::bind(address).await.unwrap());
        let accepting = door.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(accepting.clone().connection(stream));
            }
        });
        door
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// Returns the requests and forgets them.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock())
    }

    /// Sets the answer to `/hostile`. The door closes the connection after it if it has no other end.
    pub fn answers(&self, hostile: String) {
        let closes = ["connection: close", "xchunked"].iter().any(|part| hostile.contains(part));
        *self.hostile.lock() = Hostile { bytes: hostile.into_bytes(), closes };
    }

    async fn connection(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while let Some((method, request)) = read(&mut stream, &mut bytes).await {
            if !bytes.is_empty() {
                // The router sends a request only after the answer to the one before.
                self.requests.lock().push(malformed("bytes after a request", &bytes));
            }
            let text = match request.path.as_str() {
                "/v1/status" => WELL.to_owned(),
                path => format!("{method} {path} {}", String::from_utf8_lossy(&request.body)),
            };
            let Hostile { bytes: answer, closes } = match request.path.as_str() {
                "/hostile" => self.hostile.lock().clone(),
                _ => {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                    Hostile { bytes: answer.into_bytes(), closes: false }
                }
            };
            if request.path != "/v1/status" {
                self.requests.lock().push(request);
            }
            if stream.write_all(&answer).await.is_err() || closes {
                return;
            }
        }
    }
}

/// A record of something that no router may send. No test expects its path.
fn malformed(what: &str, bytes: &[u8]) -> Request {
    Request { path: format!("{what}: {}", String::from_utf8_lossy(bytes)), body: bytes.to_vec() }
}

/// Reads a request. Returns `None` at the end of the connection.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Request)> {
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") {
            break bytes.drain(..end + 4).collect::<Vec<_>>();
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let Some((method, path, framing)) = parse(&head) else {
        return Some(("BAD".to_owned(), malformed("a malformed head", &head)));
    };
    let body = match framing {
        Framing::Length(length) => exactly(stream, bytes, length).await?,
        Framing::Chunked => chunked(stream, bytes).await?,
    };
    Some((method, Request { path, body }))
}

enum Framing {
    Length(usize),
    Chunked,
}

/// Parses a head that has exactly one framing. Accepts no other form of a line than the one of RFC 9112.
fn parse(head: &[u8]) -> Option<(String, String, Framing)> {
    let text = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = text.split("\r\n");
    let [method, path, "HTTP/1.1"] = lines.next()?.split(' ').collect::<Vec<_>>()[..] else { return None };
    let mut framing = None;
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_token || value.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        let found = match name.to_ascii_lowercase().as_str() {
            "content-length" => Framing::Length(value.parse().ok()?),
            "transfer-encoding" if value == "chunked" => Framing::Chunked,
            "transfer-encoding" | "upgrade" | "te" | "trailer" | "connection" => return None,
            _ => continue,
        };
        if framing.replace(found).is_some() {
            return None;
        }
    }
    Some((method.to_owned(), path.to_owned(), framing.unwrap_or(Framing::Length(0))))
}

async fn exactly(stream: &mut TcpStream, bytes: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while bytes.len() < length {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(bytes.drain(..length).collect())
}

async fn chunked(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = loop {
            if let Some(end) = bytes.windows(2).position(|at| at == b"\r\n") {
                break bytes.drain(..end + 2).collect::<Vec<_>>();
            }
            if stream.read_buf(bytes).await.ok()? == 0 {
                return None;
            }
        };
        let length = std::str::from_utf8(&line).ok()?.trim_end();
        let length = usize::from_str_radix(length, 16).ok()?;
        let mut chunk = exactly(stream, bytes, length + 2).await?;
        if chunk.split_off(length) != b"\r\n" {
            return None;
        }
        if length == 0 {
            return Some(body);
        }
        body.append(&mut chunk);
    }
}
