//! A child process that does not outlive its parent, and whose log is printed when a test fails.

use crate::apt;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How much of a log is printed or quoted.
const TAIL_BYTES: usize = 6_000;

/// The process. Dropping it kills it.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Guarded {
    /// Starts a command. Its standard error goes to `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn start(mut command: Command, name: &str, log: &Path) -> io::Result<Self> {
        let child = command.stderr(append_to(log)?).spawn()?;
        Ok(Self { child, name: name.to_owned(), log: log.to_owned() })
    }

    /// Returns a command that the system kills when the thread that starts it ends, for programs without
    /// `--with-parent`. Without `setpriv` it is the plain program.
    #[must_use]
    pub fn command(program: &Path) -> Command {
        match apt::find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        }
    }

    /// Returns the process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes its standard input, if the command piped it.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Takes its standard output, if the command piped it.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Kills it as `kill -9` does, and waits until it has ended.
    pub fn kill(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal. After [`Signal::STOP`] this returns when all its threads have stopped, which takes a while on
    /// a busy host: until then it may still answer.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        kill_process(pid, signal)?;
        if signal == Signal::STOP {
            // Returns also when it has ended, and leaves its exit status to a later wait.
            let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(pid), options)?;
        }
        Ok(())
    }

    /// Sends SIGTERM and waits. Returns `None` when it did not end in time and was killed.
    pub fn stop(&mut self, wait_max: Duration) -> Option<ExitStatus> {
        // If it has ended already, the wait returns how.
        let _ = self.signal(Signal::TERM);
        let status = self.wait(wait_max);
        if status.is_none() {
            self.kill();
        }
        status
    }

    /// Waits until it ends. Returns `None` when it is still running.
    pub fn wait(&mut self, wait_max: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + wait_max;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Returns whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns its whole log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Returns the end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Returns the process's resident memory in bytes; 0 when it has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kb| kb * 1024)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the log of {} ends:\n{}---", self.name, self.log_tail());
        }
    }
}

/// Opens a log to append to it, and creates it if needed.
///
/// # Errors
/// When it cannot be opened.
pub fn append_to(log: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(log)
}

/// Returns the end of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned()
}

/// Detaches the command's standard input and output.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null())
}
