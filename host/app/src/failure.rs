//! How a command fails: a message for people and an exit code for programs.

use std::{fmt::Display, process::ExitCode};

/// What kind of failure it is; the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What was asked for was refused or a check failed: exit code 1.
    Refused,
    /// The command line, a file or the configuration is at fault: exit code 2, as clap's.
    Usage,
    /// A node cannot be reached or does not answer: exit code 3.
    Unreachable,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong, where, and what to do.
    pub message: String,
    /// What kind it is.
    pub kind: Kind,
}

impl Failure {
    /// Something was refused, or a check failed.
    pub fn refused(message: impl Display) -> Self {
        Self { message: message.to_string(), kind: Kind::Refused }
    }

    /// The command line, a file or the configuration is at fault.
    pub fn usage(message: impl Display) -> Self {
        Self { message: message.to_string(), kind: Kind::Usage }
    }

    /// A node cannot be reached.
    pub fn unreachable(message: impl Display) -> Self {
        Self { message: message.to_string(), kind: Kind::Unreachable }
    }

    /// What goes to standard error: a line for people, or an object for programs.
    pub fn describe(&self, json: bool) -> String {
        if json {
            serde_json::json!({ "error": self.message, "kind": self.kind }).to_string()
        } else {
            format!("error: {}", self.message)
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Refused => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 3,
        })
    }
}

impl From<crate::config::Problem> for Failure {
    fn from(problem: crate::config::Problem) -> Self {
        Self::usage(problem)
    }
}
