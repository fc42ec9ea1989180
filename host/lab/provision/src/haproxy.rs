//! HAProxy with plain round-robin, for comparison in measurements.

use crate::{Guarded, apt, guarded, missing::Missing};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// How long it may take to accept connections.
const START_MAX: Duration = Duration::from_secs(10);

/// A running proxy.
#[derive(Debug)]
pub struct Haproxy {
    _process: Guarded,
    _dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Haproxy {
    /// Starts one in front of these servers if its program is installed.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(servers: &[SocketAddr]) -> Result<Self, Missing> {
        let program = apt::find("haproxy")
            .ok_or_else(|| Missing::new("haproxy", "it is not installed", "run: apt-get install haproxy"))?;
        let lacking = |error: io::Error| Missing::io("a running haproxy", &error);
        let dir = tempfile::tempdir().map_err(lacking)?;
        // HAProxy cannot report a port that it chose itself.
        let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).map_err(lacking)?;
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config(address, servers)).map_err(lacking)?;
        let mut command = Guarded::command(&program);
        command.arg("-db").arg("-f").arg(&file);
        guarded::quiet(&mut command).current_dir(dir.path());
        let mut process = Guarded::start(command, "haproxy", &dir.path().join("haproxy.log")).map_err(lacking)?;
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            if Instant::now() > deadline || !process.is_running() {
                return Err(Missing::new("haproxy", process.log_tail(), "see what it says"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { _process: process, _dir: dir, address })
    }
}

/// Returns the configuration in which it is fastest: as many threads as cores, and kept connections on both sides.
fn config(address: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers = servers.iter().enumerate();
    let servers: String = servers.map(|(index, server)| format!("  server s{index} {server}\n")).collect();
    format!(
        "global\n  maxconn 4096\ndefaults\n  mode http\n  option http-keep-alive\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\n  timeout http-keep-alive 60s\nfrontend front\n  bind {address}\n  default_backend back\n\
         backend back\n  balance roundrobin\n  http-reuse always\n{servers}"
    )
}
