//! The floor: a bare server on the gateway's HTTP stack that answers the same bytes to everything.

use crate::{failure::Failure, stand};
use bytes::Bytes;
use littoral_gateway::bare;
use littoral_provision::{Guarded, ready::Ready};
use littoral_runtime::workers;
use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{ChildStdin, Command, ExitCode, Stdio},
};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

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
    let bytes = Bytes::from(std::fs::read(answer)?);
    // As many threads as the product has by default.
    workers::run(&workers::Config::default(), async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("ready door={}", listener.local_addr()?);
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(bare::serve(listener, bytes, shutdown.clone()));
        // Whoever started us closes it, or is gone.
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        shutdown.cancel();
        serving.await.map_err(|error| Failure::new("serving", error))
    })?
}
