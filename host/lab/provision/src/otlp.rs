//! A collector of traces in Python, which decodes OTLP independently of the product.

use crate::{Guarded, http::Client, missing::Missing, python};
use serde_json::Value;
use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{ChildStdin, Command, Stdio},
};

/// The release of `opentelemetry-proto`, OpenTelemetry's messages for Python.
pub const VERSION: &str = "1.45.2";

/// A running collector. Dropping it ends it.
pub struct Collector {
    /// Where it receives OTLP over HTTP.
    pub address: SocketAddr,
    _process: Guarded,
    _lifeline: Option<ChildStdin>,
}

impl Collector {
    /// Installs its packages if needed, and starts a collector, with files in this directory, on a port that the system
    /// chooses.
    ///
    /// # Errors
    /// When Python or the packages cannot be installed, or it does not start.
    pub fn start(dir: &Path) -> Result<Self, Missing> {
        Self::start_on(dir, 0)
    }

    /// Like [`Collector::start`], on this port.
    ///
    /// # Errors
    /// As [`Collector::start`].
    pub fn start_on(dir: &Path, port: u16) -> Result<Self, Missing> {
        let package = format!("opentelemetry-proto=={VERSION}");
        let bin = python::environment(&format!("opentelemetry-proto-{VERSION}"), &[&package])?;
        let failed = |error: io::Error| Missing::io("a collector of traces", &error);
        let script = dir.join("otlp_collector.py");
        fs::write(&script, include_str!("otlp_collector.py")).map_err(failed)?;
        let mut command = Command::new(bin.join("python"));
        command.arg(&script).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guarded::start(command, "collector", &dir.join("collector.log")).map_err(failed)?;
        let lifeline = process.take_stdin();
        let mut line = String::new();
        if let Some(stdout) = process.take_stdout() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        let port = line.trim().strip_prefix("port=").and_then(|port| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| Missing::new("a collector of traces", process.log_tail(), "read its log"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { address, _process: process, _lifeline: lifeline })
    }

    /// Returns the section of a node's configuration that sends a ratio of its requests here.
    #[must_use]
    pub fn section(&self, sample: f64) -> String {
        format!("[traces]\nendpoint = \"http://{}\"\nsample = {sample:?}\n", self.address)
    }

    /// Returns the spans that it has received.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn spans(&self) -> io::Result<Vec<Value>> {
        let answer = Client::new(self.address).get("/spans")?;
        answer.json().as_array().cloned().ok_or_else(|| io::Error::other(answer.text()))
    }
}
