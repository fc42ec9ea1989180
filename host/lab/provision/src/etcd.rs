//! An etcd of our own, which can be killed and started again on its data.

use crate::{Guarded, apt, guarded, missing::Missing};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// How long it may take to answer that it is well: it elects itself first.
const START_MAX: Duration = Duration::from_secs(20);

/// A server and its data.
#[derive(Debug)]
pub struct Etcd {
    process: Option<Guarded>,
    dir: tempfile::TempDir,
    peer: SocketAddr,
    /// Where it listens, each time that it runs.
    pub address: SocketAddr,
}

impl Etcd {
    /// Starts a server if its program is there or can be installed.
    ///
    /// # Errors
    /// When it cannot be had or does not start.
    pub fn install_and_start() -> Result<Self, Missing> {
        apt::program("etcd", "etcd-server")?;
        let lacking = |error: io::Error| Missing::io("a running etcd", &error);
        let dir = tempfile::tempdir().map_err(lacking)?;
        // The system names free ports; both are held until both are known, so that they differ.
        let free = || TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr().map(|address| (l, address)));
        let ((client, address), (peers, peer)) = (free().map_err(lacking)?, free().map_err(lacking)?);
        drop((client, peers));
        let mut etcd = Self { process: None, dir, peer, address };
        etcd.start()?;
        Ok(etcd)
    }

    /// Starts it again, on the data that it has, and waits until it is well.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&mut self) -> Result<(), Missing> {
        let program = apt::find("etcd")
            .ok_or_else(|| Missing::new("etcd", "it is not installed", "run: apt-get install etcd-server"))?;
        let lacking = |error: io::Error| Missing::io("a running etcd", &error);
        let (client, peer) = (format!("http://{}", self.address), format!("http://{}", self.peer));
        let mut command = Guarded::command(&program);
        command.args(["--name", "one", "--data-dir", "data", "--initial-cluster", &format!("one={peer}")]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        guarded::quiet(&mut command).current_dir(self.dir.path());
        let mut process = Guarded::start(command, "etcd", &self.dir.path().join("etcd.log")).map_err(lacking)?;
        let deadline = Instant::now() + START_MAX;
        while !is_well(self.address) {
            if Instant::now() > deadline || !process.is_running() {
                return Err(Missing::new("etcd", process.log_tail(), "see what it says"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Kills it at once. Its data stays.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

fn is_well(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4_096).read_to_string(&mut answer)?;
        Ok(answer.contains(r#""health":"true""#))
    };
    ask().unwrap_or(false)
}
