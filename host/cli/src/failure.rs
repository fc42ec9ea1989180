//! How a command fails: a message for people and an exit code for programs.

use std::{fmt::Display, process::ExitCode};

/// The kinds of failure; each has its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A node rejected the request, or a check failed: exit code 1.
    #[serde(rename = "refused")]
    Rejected,
    /// The command line, a file or the configuration is invalid: exit code 2, as clap's.
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
    /// Its kind.
    pub kind: Kind,
}

impl Failure {
    /// Returns the failure of a rejected request or a failed check.
    pub fn rejected(message: impl Display) -> Self {
        Self { message: message.to_string(), kind: Kind::Rejected }
    }

    /// Returns the failure of an invalid command line, file or configuration.
    pub fn usage(message: impl Display) -> Self {
        Self { message: message.to_string(), kind: Kind::Usage }
    }

    /// Returns the failure of a node that cannot be reached.
    pub fn unreachable(message: impl Display) -> Self {
        Self { message: message.to_string(), kind: Kind::Unreachable }
    }

    /// Returns what goes to standard error: a line for people, or a JSON object for programs.
    #[must_use]
    pub fn describe(&self, json: bool) -> String {
        if json {
            serde_json::json!({ "error": self.message, "kind": self.kind }).to_string()
        } else {
            format!("error: {}", self.message)
        }
    }

    /// Returns the process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Rejected => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 3,
        })
    }
}
