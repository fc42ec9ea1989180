//! One child process: this same executable as a node, or that of another release.

use crate::{failure::Failure, ready::Ready};
use littoral_model::format::ProtocolVersion;
use littoral_provision::{
    guarded::{self, tail},
    node,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{self, ChildStdin, Command},
    time::timeout,
};

/// How long a node may take to open its doors: a leader first reads its log.
const START_MAX: Duration = Duration::from_secs(60);

/// How long a node may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(25);

/// The variable that holds a node at a protocol version.
const HOLD: &str = "LITTORAL_PROTOCOL_VERSION";
/// The variable for how long a node drains.
const NOTICE: &str = "LITTORAL_SHUTDOWN_NOTICE_MS";

/// The program that a node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its executable; without one, this process's.
    pub executable: Option<PathBuf>,
    /// The protocol version at which the node is held.
    pub held_at: Option<ProtocolVersion>,
    /// How long the node drains at most; by default as long as a node without configuration.
    pub notice: Option<Duration>,
}

/// A running node.
pub struct Child {
    process: process::Child,
    /// Held open: the child ends when it closes, however this process ends.
    _lifeline: Option<ChildStdin>,
    log: PathBuf,
    /// Its ready line.
    pub ready: Ready,
}

impl Child {
    /// Starts `littoral` with these arguments and waits for its ready line. Its log goes to a file.
    ///
    /// # Errors
    /// When it does not start; the end of its log is in the message.
    pub async fn start(arguments: &[String], log: &Path) -> Result<Self, Failure> {
        Self::start_by(&[], &Program::default(), arguments, log).await
    }

    /// Like [`Child::start`], with this program, through a launcher that keeps the process's id; an empty one starts
    /// the executable directly.
    ///
    /// # Errors
    /// As [`Child::start`].
    pub async fn start_by(
        launcher: &[OsString],
        program: &Program,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self, Failure> {
        let cannot = |what: &str, error: std::io::Error| Failure::rejected(format!("cannot {what}: {error}"));
        let executable = match &program.executable {
            Some(executable) => executable.clone(),
            None => std::env::current_exe().map_err(|error| cannot("locate this executable", error))?,
        };
        let log_file =
            guarded::append_to(log).map_err(|error| cannot(&format!("open the log {}", log.display()), error))?;
        let mut process = Command::from(node::command(launcher, &executable))
            .args(arguments)
            .arg("--with-parent")
            .envs(program.held_at.map(|version| (HOLD, version.to_string())))
            .envs(program.notice.map(|notice| (NOTICE, notice.as_millis().to_string())))
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot("start a node", error))?;
        let lifeline = process.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            let _ended = timeout(START_MAX, BufReader::new(stdout).read_line(&mut line)).await;
        }
        match line.parse() {
            Ok(ready) => Ok(Self { process, _lifeline: lifeline, log: log.to_owned(), ready }),
            Err(_) => {
                let _gone = process.kill().await;
                let role = arguments.first().map_or("node", String::as_str);
                Err(Failure::rejected(format!("the {role} did not start; its log ends:\n{}", tail(log))))
            }
        }
    }

    /// Returns the process's id; `None` once it has ended and was waited for.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Returns its door's URL, without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.ready.door)
    }

    /// Waits until the process ends by itself. Returns how it ended.
    pub async fn ended(&mut self) -> Failure {
        let status = self.process.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        Failure::rejected(format!("{} ended ({status}); its log ends:\n{}", self.ready.name, tail(&self.log)))
    }

    /// Kills the process at once, as `kill -9` does.
    ///
    /// # Errors
    /// When the system rejects it.
    pub async fn kill(&mut self) -> Result<(), Failure> {
        self.process
            .kill()
            .await
            .map_err(|error| Failure::rejected(format!("cannot kill {}: {error}", self.ready.name)))
    }

    /// Makes the process stop at once, and waits until its requests have ended. Kills it if it takes too long.
    pub async fn stop(mut self) {
        // It stops at the end of its standard input, like at the end of this process.
        drop(self._lifeline.take());
        self.wait().await;
    }

    /// Makes the process drain and then stop, as an operator does with SIGTERM, and waits. Kills it if it takes too
    /// long.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub async fn drain(mut self) -> Result<(), Failure> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| Failure::rejected(format!("{} has ended by itself", self.ready.name)))?;
        kill_process(pid, Signal::TERM)
            .map_err(|error| Failure::rejected(format!("cannot stop {}: {error}", self.ready.name)))?;
        self.wait().await;
        Ok(())
    }

    async fn wait(&mut self) {
        if timeout(STOP_MAX, self.process.wait()).await.is_err() {
            tracing::warn!(node = self.ready.name, "killing a node that did not stop in time");
            let _gone = self.process.kill().await;
        }
    }
}
