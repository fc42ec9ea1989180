//! The floor: a bare server on the gateway's HTTP stack that answers the same bytes to everything.

use crate::{failure::Failure, stand};
use littoral_provision::{Guarded, ready::Ready};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{ChildStdin, Command, ExitCode, Stdio},
};

/// A floor server as a process of its own, as the product is.
#[derive(Debug)]
pub struct Floor {
    _process: Guarded,
    _lifeline: Option<ChildStdin>,
    _dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts one that answers with these bytes.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(answer: &[u8]) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("answer.json");
        std::fs::write(&file, answer)?;
        let mut command = Command::new(stand::executable()?);
        command.args(["bench", "--floor-server"]).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guarded::start(command, "floor", &dir.path().join("floor.log"))?;
        let lifeline = process.take_stdin();
        let mut line = String::new();
        if let Some(stdout) = process.take_stdout() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let ready = Ready::parse(&line).ok_or_else(|| Failure::new("the floor did not start", process.log_tail()))?;
        Ok(Self { _process: process, _lifeline: lifeline, _dir: dir, address: ready.door })
    }
}

/// Runs a floor server until standard input ends.
pub fn serve(answer: &Path) -> ExitCode {
    match serve_until_eof(answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve_until_eof(answer: &Path) -> Result<(), Failure> {
    let bytes = bytes::Bytes::from(std::fs::read(answer)?);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let door = listener.local_addr()?;
    std::thread::spawn(move || {
        if let Err(error) = bare(listener, bytes) {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    });
    println!("ready door={door}");
    // Whoever started us closes it, or is gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn bare(listener: std::net::TcpListener, answer: bytes::Bytes) -> Result<(), Failure> {
    use hyper::{Response, body::Incoming, service::service_fn};
    use hyper_util::rt::TokioIo;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    listener.set_nonblocking(true)?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let answer = answer.clone();
                    async move {
                        use http_body_util::BodyExt as _;
                        request.into_body().collect().await?;
                        let mut response = Response::new(http_body_util::Full::new(answer));
                        let json = http::HeaderValue::from_static("application/json");
                        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
                        Ok::<_, hyper::Error>(response)
                    }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
