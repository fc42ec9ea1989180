//! A Redis server, for comparison in measurements.

use crate::{Guarded, apt, guarded, missing::Missing};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// How long it may take to answer its first ping.
const START_MAX: Duration = Duration::from_secs(10);

/// A running server without persistence.
#[derive(Debug)]
pub struct Redis {
    _process: Guarded,
    _dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Redis {
    /// Starts a server; installs its program if needed.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn install_and_start() -> Result<Self, Missing> {
        apt::program("redis-server", "redis-server")?;
        Self::start()
    }

    /// Starts a server if its program is installed.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> Result<Self, Missing> {
        let program = apt::find("redis-server")
            .ok_or_else(|| Missing::new("redis-server", "it is not installed", "run: apt-get install redis-server"))?;
        let lacking = |error: io::Error| Missing::io("a running redis-server", &error);
        let dir = tempfile::tempdir().map_err(lacking)?;
        // Redis cannot report a port that it chose itself.
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).map_err(lacking)?.port();
        let mut command = Guarded::command(&program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        guarded::quiet(&mut command).current_dir(dir.path());
        let process = Guarded::start(command, "redis", &dir.path().join("redis.log")).map_err(lacking)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + START_MAX;
        while !answers(address) {
            if Instant::now() > deadline {
                return Err(Missing::new("redis-server", process.log_tail(), "see its log"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { _process: process, _dir: dir, address })
    }
}

fn answers(address: SocketAddr) -> bool {
    let ping = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n")
    };
    ping().unwrap_or(false)
}
