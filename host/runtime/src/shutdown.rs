//! What asks a process to stop: SIGTERM, SIGINT, or the end of the process that started it.

use rustix::process::Signal as Number;
use std::{fmt, io, os::fd::AsFd};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

/// What asked the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM, as process managers send it.
    Terminate,
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGHUP, as a terminal that is closed sends it.
    HangUp,
    /// The process that started this one is gone.
    ParentGone,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HangUp => "SIGHUP",
            Self::ParentGone => "the parent process is gone",
        })
    }
}

/// Signals that would end a process at once, without draining and without a word, and that somebody sends by mistake, as a log
/// rotation or a script that asks for a reload. They are logged and ignored, as SIGHUP is by nodes.
const IGNORED: [(&str, Number); 6] = [
    ("SIGUSR1", Number::USR1),
    ("SIGUSR2", Number::USR2),
    ("SIGALRM", Number::ALARM),
    ("SIGVTALRM", Number::VTALARM),
    ("SIGPROF", Number::PROF),
    ("SIGIO", Number::IO),
];

/// The requests to stop that reach this process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// The process belongs to a terminal, and ends with it.
    ends_with_terminal: bool,
    /// The pipe whose other end a parent holds for as long as it lives.
    parent: Option<pipe::Receiver>,
    leave_interrupt_to_parent: bool,
}

impl Signals {
    /// Begins to listen. From now on signals that mean nothing here are logged and ignored.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn listen() -> io::Result<Self> {
        for (name, number) in IGNORED {
            let mut arrivals = signal(SignalKind::from_raw(number.as_raw()))?;
            tokio::spawn(async move {
                while arrivals.recv().await.is_some() {
                    say_ignored(name);
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

    /// Makes the process end with its terminal: for commands that a person runs.
    #[must_use]
    pub fn with_terminal(self) -> Self {
        Self { ends_with_terminal: true, ..self }
    }

    /// Makes the process end with the one that started it: its standard input must be a pipe from there, as its end is
    /// seen even when the parent is killed. A terminal's Ctrl-C reaches both; it is then left to the parent, which
    /// stops its children in order.
    ///
    /// # Errors
    /// When standard input is no pipe.
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
                    say_ignored("SIGHUP");
                }
                () = closed(&mut self.parent) => {
                    self.parent = None;
                    return StopReason::ParentGone;
                }
            }
        }
    }
}

fn say_ignored(signal: &str) {
    tracing::warn!(signal, "a signal is ignored; SIGTERM or SIGINT stops this process");
}

/// Resolves when the pipe ends; never when there is none.
async fn closed(parent: &mut Option<pipe::Receiver>) {
    let Some(pipe) = parent else { return std::future::pending().await };
    let mut ignored = [0; 64];
    while !matches!(pipe.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
