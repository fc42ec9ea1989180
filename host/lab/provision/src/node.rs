//! A leader or an edge as a process of its own.

use crate::{Guarded, binary, http::Client};
use littoral_cli::ready::Ready;
use rustix::process::Signal;
use std::{
    ffi::OsString,
    fs, io,
    io::BufRead as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

/// How long a node may take to open its doors: a leader reads its log first, and a debug build is slow.
const START_MAX: Duration = Duration::from_secs(60);
/// Lines of output that may wait to be read before the node is ready.
const LINES_WAITING_MAX: usize = 1_024;

/// How long a node may take to stop.
const STOP_MAX: Duration = Duration::from_secs(25);

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The executable; `None` for the one that the workspace builds.
    pub executable: Option<PathBuf>,
    /// `leader` or `edge`.
    pub role: &'static str,
    /// The node's name.
    pub name: String,
    /// Its data directory; its log and configuration are next to it.
    pub data_dir: PathBuf,
    /// The text of its configuration file; `None` for the defaults.
    pub config: Option<String>,
    /// The leader's peer address, for an edge.
    pub leader: Option<SocketAddr>,
    /// The door's address; port 0 lets the system choose.
    pub door: SocketAddr,
    /// A leader's peer listener.
    pub peer: SocketAddr,
    /// Further flags.
    pub flags: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// A launcher in front of the executable, for example to run it in another network. It must `exec` the executable,
    /// so that signals reach it.
    pub launcher: Vec<OsString>,
}

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    plan: Plan,
    process: Guarded,
    /// Held open: the node ends when it closes, so that it does not outlive this process however that ends.
    _lifeline: Option<ChildStdin>,
    /// Its ready line.
    pub ready: Ready,
}

/// Returns a command that runs the executable, through the launcher if there is one. With the argument `--with-parent`,
/// the node ends when its standard input does.
pub fn command(launcher: &[OsString], executable: &Path) -> Command {
    let mut words = launcher.iter().map(OsString::as_os_str).chain([executable.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

// === impl Plan ===

impl Plan {
    /// Returns the plan of a leader with the defaults, on ports that the system chooses.
    #[must_use]
    pub fn leader(data_dir: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            executable: None,
            role: "leader",
            name: "leader".to_owned(),
            data_dir: data_dir.to_owned(),
            config: None,
            leader: None,
            door: any,
            peer: any,
            flags: Vec::new(),
            env: Vec::new(),
            launcher: Vec::new(),
        }
    }

    /// Returns the plan of an edge with the defaults.
    #[must_use]
    pub fn edge(name: &str, data_dir: &Path, leader: SocketAddr) -> Self {
        Self { role: "edge", name: name.to_owned(), leader: Some(leader), ..Self::leader(data_dir) }
    }

    /// Sets the text of the configuration file, without its `role`.
    #[must_use]
    pub fn with_config(self, text: &str) -> Self {
        Self { config: Some(format!("role = \"{}\"\n{text}", self.role)), ..self }
    }

    /// Sets the executable.
    #[must_use]
    pub fn with_executable(self, executable: Option<&Path>) -> Self {
        Self { executable: executable.map(Path::to_owned), ..self }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.data_dir.with_file_name(format!("{}.{extension}", self.name))
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = command(&self.launcher, &self.executable.clone().unwrap_or_else(binary::littoral));
        command.arg(self.role).args(["--name", &self.name]).arg("--data-dir").arg(&self.data_dir);
        command.args(["--listen", &self.door.to_string()]);
        if self.role == "leader" {
            command.args(["--peer-listen", &self.peer.to_string()]);
        }
        if let Some(leader) = self.leader {
            command.args(["--leader", &leader.to_string()]);
        }
        if let Some(text) = &self.config {
            let file = self.file("toml");
            fs::write(&file, text)?;
            command.arg("--config").arg(file);
        }
        command.args(&self.flags);
        command.arg("--with-parent").envs(self.env.iter().cloned());
        Ok(command)
    }
}

// === impl Node ===

impl Node {
    /// Starts a node and waits until its doors are open.
    ///
    /// # Errors
    /// When it does not start; the end of its log is in the message.
    pub fn start(plan: Plan) -> io::Result<Self> {
        fs::create_dir_all(&plan.data_dir)?;
        let mut process = Guarded::start(plan.command()?, &plan.name, &plan.file("log"))?;
        let lifeline = process.take_stdin();
        let stdout = process.take_stdout().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = mpsc::sync_channel(LINES_WAITING_MAX);
        // Continues reading after the ready line, so that the node never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in io::BufReader::new(stdout).lines().map_while(Result::ok) {
                // Once the node is ready, its lines are discarded.
                let _ = sender.try_send(line);
            }
        });
        let deadline = std::time::Instant::now() + START_MAX;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
                Ok(line) => {
                    if let Ok(ready) = line.parse() {
                        return Ok(Self { plan, process, _lifeline: lifeline, ready });
                    }
                }
                Err(_) => {
                    let message = format!("{} did not start; its log ends:\n{}", plan.name, process.log_tail());
                    return Err(io::Error::other(message));
                }
            }
        }
    }

    /// Restarts it with the same data and on the same ports; kills it first if it still runs.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.process.kill();
        let mut plan = self.plan.clone();
        plan.door = self.ready.door;
        plan.peer = self.ready.peer.unwrap_or(plan.peer);
        *self = Self::start(plan)?;
        Ok(())
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends SIGTERM and waits. Returns `None` when it did not end in time and was killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.process.stop(STOP_MAX)
    }

    /// Sends a signal such as SIGSTOP or SIGCONT.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Returns the plan of its next restart.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Guarded {
        &mut self.process
    }

    /// Returns the process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the process's resident memory in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// Returns its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.plan.data_dir
    }

    /// Returns its door's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.ready.door)
    }

    /// Returns a client of its door.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.ready.door)
    }

    /// Returns a client of its listener for administration, or of its door if that serves administration.
    #[must_use]
    pub fn admin(&self) -> Client {
        Client::new(self.ready.admin.unwrap_or(self.ready.door))
    }

    /// Returns the answer of `/v1/status`; null when there is none.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        self.admin().get("/v1/status").map(|answer| answer.json()).unwrap_or_default()
    }

    /// Returns whether `/v1/ready` answers 200.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.admin().get("/v1/ready").is_ok_and(|answer| answer.status == 200)
    }
}
