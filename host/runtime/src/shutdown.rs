//! Reasons for a process to stop: SIGTERM, SIGINT, or the end of its parent process.

use rustix::process::Signal as Number;
use std::{fmt, io, os::fd::AsFd};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

/// Why the process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM, sent by process managers.
    Terminate,
    /// SIGINT, sent by Ctrl-C.
    Interrupt,
    /// SIGHUP, sent when a terminal closes.
    HangUp,
    /// The parent process has exited.
    ParentGone,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HangUp => "SIGHUP",
            Self::ParentGone => "the parent process has exited",
        })
    }
}

/// Signals that are logged and ignored. By default they would end a process at once, without draining and
/// without a log line, and they are often sent by mistake, for example by a log rotation or a reload script.
const IGNORED: [(&str, Number); 9] = [
    ("SIGUSR1", Number::USR1),
    ("SIGUSR2", Number::USR2),
    ("SIGALRM", Number::ALARM),
    ("SIGVTALRM", Number::VTALARM),
    ("SIGPROF", Number::PROF),
    ("SIGIO", Number::IO),
    ("SIGPWR", Number::POWER),
    ("SIGXCPU", Number::XCPU),
    ("SIGSTKFLT", Number::STKFLT),
];

/// Waits for requests to stop.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// The process belongs to a terminal, and ends with it.
    ends_with_terminal: bool,
    /// The pipe whose other end the parent holds while it runs.
    parent: Option<pipe::Receiver>,
    leave_interrupt_to_parent: bool,
}

impl Signals {
    /// Installs the handlers. From now on, the ignored signals are logged.
    ///
    /// # Errors
    /// If the system rejects a signal handler.
    pub fn listen() -> io::Result<Self> {
        for (name, number) in IGNORED {
            let mut arrivals = signal(SignalKind::from_raw(number.as_raw()))?;
            tokio::spawn(async move {
                while arrivals.recv().await.is_some() {
                    log_ignored(name);
                }
            });
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            ends_with_terminal: false,
            parent: None,
            leave_interrupt_to_parent: false,
        })
    }

    /// Ends the process with its terminal: for commands that are run interactively.
    #[must_use]
    pub fn with_terminal(self) -> Self {
        Self { ends_with_terminal: true, ..self }
    }

    /// Ends the process with its parent. Standard input must be a pipe from the parent, because the end of a pipe is
    /// noticed even if the parent is killed. A terminal's Ctrl-C reaches both processes; the child then ignores it, and
    /// the parent stops its children in an orderly way.
    ///
    /// # Errors
    /// If standard input is not a pipe.
    pub fn with_parent(mut self) -> io::Result<Self> {
        let input = std::io::stdin().as_fd().try_clone_to_owned()?;
        self.parent = Some(pipe::Receiver::from_owned_fd(input)?);
        self.leave_interrupt_to_parent = true;
        Ok(self)
    }

    /// Waits for the next request to stop.
    pub async fn next(&mut self) -> StopReason {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return StopReason::Terminate,
                Some(()) = self.interrupt.recv() => {
                    if !self.leave_interrupt_to_parent {
                        return StopReason::Interrupt;
                    }
                }
                Some(()) = self.hangup.recv() => {
                    if self.ends_with_terminal {
                        return StopReason::HangUp;
                    }
                    // A node reads its configuration again, in a task of its own.
                }
                () = closed(&mut self.parent) => {
                    self.parent = None;
                    return StopReason::ParentGone;
                }
            }
        }
    }
}

fn log_ignored(signal: &str) {
    tracing::warn!(signal, "ignored a signal; send SIGTERM or SIGINT to stop this process");
}

/// Returns when the pipe ends; never if there is none.
async fn closed(parent: &mut Option<pipe::Receiver>) {
    let Some(pipe) = parent else { return std::future::pending().await };
    let mut ignored = [0; 64];
    while !matches!(pipe.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
