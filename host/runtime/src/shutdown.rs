//! What asks a process to stop: SIGTERM, SIGINT, or the end of the process that started it.

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
    /// The process that started this one is gone.
    ParentGone,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::ParentGone => "the parent process is gone",
        })
    }
}

/// The requests to stop that reach this process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The pipe whose other end a parent holds for as long as it lives.
    parent: Option<pipe::Receiver>,
    leave_interrupt_to_parent: bool,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            parent: None,
            leave_interrupt_to_parent: false,
        })
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
                () = closed(&mut self.parent) => {
                    self.parent = None;
                    return StopReason::ParentGone;
                }
            }
        }
    }
}

/// Resolves when the pipe ends; never when there is none.
async fn closed(parent: &mut Option<pipe::Receiver>) {
    let Some(pipe) = parent else { return std::future::pending().await };
    let mut ignored = [0; 64];
    while !matches!(pipe.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
