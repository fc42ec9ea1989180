//! The floor: a bare server that sends the same bytes, headers included, to every request. Without TLS it is on the
//! doors' HTTP stack; with TLS it is bare hyper and rustls.

use crate::bench::{failure::Failure, setup, tls::bare as bare_tls};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use littoral_doors::bare;
use littoral_provision::{Guarded, http::Answer, ready::Ready};
use littoral_runtime::workers;
use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{ChildStdin, Command, ExitCode, Stdio},
};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

/// A floor server in a process of its own, like the product.
#[derive(Debug)]
pub struct Floor {
    process: Guarded,
    _lifeline: Option<ChildStdin>,
    _dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts one that sends this response.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(answer: &Answer) -> Result<Self, Failure> {
        Self::start_with(answer, None)
    }

    /// Starts one that sends this response over TLS, with the certificate and its key in one file.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_tls(answer: &Answer, cert: &Path) -> Result<Self, Failure> {
        Self::start_with(answer, Some(cert))
    }

    fn start_with(answer: &Answer, cert: Option<&Path>) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("answer");
        std::fs::write(&file, whole(answer))?;
        let mut command = Command::new(setup::executable()?);
        command.args(["bench", "--floor-server"]).arg(&file);
        if let Some(cert) = cert {
            command.arg("--floor-cert").arg(cert);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guarded::start(command, "floor", &dir.path().join("floor.log"))?;
        let lifeline = process.take_stdin();
        let mut line = String::new();
        if let Some(stdout) = process.take_stdout() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let ready: Ready = line.parse().map_err(|_| Failure::new("the floor did not start", process.log_tail()))?;
        Ok(Self { process, _lifeline: lifeline, _dir: dir, address: ready.door })
    }

    /// Returns the id of its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Returns header lines, an empty line, and the body.
fn whole(answer: &Answer) -> Vec<u8> {
    let lines = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let mut bytes = lines.chain(["\n".to_owned()]).collect::<String>().into_bytes();
    bytes.extend_from_slice(&answer.body);
    bytes
}

/// Parses what [`whole`] wrote, without the headers that every server adds by itself.
fn parts(mut whole: Bytes) -> Option<(HeaderMap, Bytes)> {
    // Without headers, the empty line is the first one.
    let has_no_headers = whole.starts_with(b"\n");
    let end = if has_no_headers { 1 } else { whole.windows(2).position(|window| window == b"\n\n")? + 2 };
    let head = whole.split_to(end);
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(&head).ok()?.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        let name: HeaderName = name.parse().ok()?;
        if ![header::CONTENT_LENGTH, header::DATE, header::CONNECTION].contains(&name) {
            headers.append(name, HeaderValue::from_str(value).ok()?);
        }
    }
    Some((headers, whole))
}

/// Runs a floor server until standard input ends.
pub fn serve(answer: &Path, cert: Option<&Path>) -> ExitCode {
    match serve_until_eof(answer, cert) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve_until_eof(answer: &Path, cert: Option<&Path>) -> Result<(), Failure> {
    let (headers, body) = parts(Bytes::from(std::fs::read(answer)?)).ok_or_else(|| {
        Failure::new("the floor's answer", "it does not consist of header lines, an empty line and a body")
    })?;
    let tls = cert.map(bare_tls::config).transpose()?;
    // As many threads as the product has by default.
    workers::run(&workers::Config::default(), |reactors| async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", Ready::node("floor", "floor", listener.local_addr()?, None));
        let shutdown = CancellationToken::new();
        let serving = match tls {
            None => tokio::spawn(bare::serve(listener, reactors, headers, body, shutdown.clone())),
            Some(tls) => tokio::spawn(bare_tls::serve(listener, reactors, tls, headers, body, shutdown.clone())),
        };
        // The parent closes it, or has ended.
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        shutdown.cancel();
        serving.await.map_err(|error| Failure::new("serving", error))
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_own_headers() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![header("littoral-source", "replica"), header("content-length", "2"), header("date", "now")];
        let answer = Answer { status: 200, headers, body: b"{}".to_vec() };
        let (headers, body) = parts(whole(&answer).into()).unwrap();
        assert_eq!((headers.len(), &headers["littoral-source"]), (1, &HeaderValue::from_static("replica")));
        assert_eq!(body, "{}");
    }
}
