//! A router as a process of its own.

use crate::{Guarded, binary, http::Client, node};
use littoral_cli::ready::Ready;
use rustix::process::Signal;
use std::{
    fs, io,
    io::BufRead as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ChildStdin,
};

/// A running router. Dropping it kills it.
#[derive(Debug)]
pub struct Router {
    process: Guarded,
    _lifeline: Option<ChildStdin>,
    topology: PathBuf,
    /// Its door.
    pub door: SocketAddr,
    /// Its DNS responder.
    pub dns: Option<SocketAddr>,
}

impl Router {
    /// Starts a router of this topology, with files in this directory, and waits until its door is open. `config` is
    /// its configuration without its `role`; the executable is the workspace's unless another is given.
    ///
    /// # Errors
    /// When it does not start; the end of its log is in the message.
    pub fn start(dir: &Path, topology: &str, config: &str, executable: Option<&Path>) -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), &[], dir, topology, config, executable)
    }

    /// Starts a router like [`Self::start`], with a door at `listen` and with further flags.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(
        listen: SocketAddr,
        flags: &[&str],
        dir: &Path,
        topology: &str,
        config: &str,
        executable: Option<&Path>,
    ) -> io::Result<Self> {
        let (file, settings) = (dir.join("topology.toml"), dir.join("router.toml"));
        fs::write(&file, topology)?;
        fs::write(&settings, format!("role = \"router\"\n{config}"))?;
        let mut command = node::command(&[], &executable.map_or_else(binary::littoral, Path::to_owned));
        command.args(["router", "--with-parent", "--listen", &listen.to_string(), "--dns-listen", "127.0.0.1:0"]);
        command.args(flags);
        command.arg("--config").arg(settings).arg("--topology").arg(&file);
        let mut process = Guarded::start(command, "router", &dir.join("router.log"))?;
        let lifeline = process.take_stdin();
        let mut line = String::new();
        if let Some(stdout) = process.take_stdout() {
            // The ready line is all that it prints; if it fails to start, its output ends.
            io::BufReader::new(stdout).read_line(&mut line)?;
        }
        let Ok(Ready { door, dns, .. }) = line.parse() else {
            return Err(io::Error::other(format!("the router did not start; its log ends:\n{}", process.log_tail())));
        };
        Ok(Self { door, dns, process, _lifeline: lifeline, topology: file })
    }

    /// Replaces the topology file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn change(&self, topology: &str) -> io::Result<()> {
        let whole = self.topology.with_extension("new");
        fs::write(&whole, topology)?;
        fs::rename(whole, &self.topology)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Returns a client of its door.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.door)
    }
}
