//! What a check has found.

use serde::Serialize;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// The node works, but slower or less safely than it could.
    Warning,
    /// The node does not start, or does not do its work.
    Problem,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How serious it is.
    pub level: Level,
    /// What was checked.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// What to do; empty if nothing.
    pub remedy: String,
}

impl Finding {
    /// Returns a finding that is as it should be.
    pub fn ok(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), what: what.into(), remedy: String::new() }
    }

    /// Returns a warning.
    pub fn warning(subject: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, subject: subject.into(), what: what.into(), remedy: remedy.into() }
    }

    /// Returns a problem. `remedy` may be empty when `what` contains it.
    pub fn problem(subject: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Problem, subject: subject.into(), what: what.into(), remedy: remedy.into() }
    }
}
