//! A small HTTP/1.1 client over a plain socket, for tests that check exactly what is on the wire.

use serde_json::Value;
use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest body that is accepted.
const BODY_MAX: u64 = 256 << 20;

/// A connection that is kept open between requests, and reopened when the server has closed it.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
    stream: Option<BufReader<TcpStream>>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

// === impl Client ===

impl Client {
    /// Returns a client of this address. It connects with the first request.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, timeout: TIMEOUT, stream: None }
    }

    /// Sets how long a request may take.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// When there is no complete response in time.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, &[], b"")
    }

    /// Sends JSON by POST.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Sends JSON by PUT.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn put(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Sends a request. If the server has closed the kept connection, sends it again on a new one, like every HTTP
    /// client.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let request = [head.as_bytes(), body].concat();
        if self.stream.is_some()
            && let Ok(answer) = self.exchange(&request, method)
        {
            return Ok(answer);
        }
        self.stream = None;
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        self.stream = Some(BufReader::new(stream));
        self.exchange(&request, method)
    }

    fn exchange(&mut self, request: &[u8], method: &str) -> io::Result<Answer> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        // A server may answer and close before it has read all of a request that it rejects.
        let written = stream.get_mut().write_all(request);
        let (answer, keep) = match read_answer(&mut stream, method == "HEAD") {
            Ok(read) => read,
            Err(error) => return Err(written.err().unwrap_or(error)),
        };
        if keep && written.is_ok() {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// Reads one response. Returns also whether the connection stays open.
///
/// # Errors
/// When it is incomplete or is not HTTP.
pub fn read_answer(stream: &mut BufReader<impl Read>, no_body: bool) -> io::Result<(Answer, bool)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let status_line = read_line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| bad("no status"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("no header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = u64::from_str_radix(read_line(stream)?.trim(), 16).map_err(|_| bad("no chunk size"))?;
            stream.take(size.min(BODY_MAX)).read_to_end(&mut answer.body)?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = answer.header("content-length").filter(|_| !no_body) {
        let length: u64 = length.parse().map_err(|_| bad("no content length"))?;
        stream.take(length.min(BODY_MAX)).read_to_end(&mut answer.body)?;
        if answer.body.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let keep = answer.header("connection") != Some("close");
    Ok((answer, keep))
}

fn read_line(stream: &mut BufReader<impl Read>) -> io::Result<String> {
    let mut line = String::new();
    if stream.take(64 << 10).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

// === impl Answer ===

impl Answer {
    /// Returns a header's value by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON; null when it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the response, if its status is 200.
    ///
    /// # Panics
    /// When the status is another, with the body.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }
}
