//! Prerequisites that are neither found nor can be installed.

use std::{fmt, io};

/// A prerequisite that is not found and cannot be installed.
#[derive(Debug, thiserror::Error)]
#[error("{what} is needed but missing: {why}; {remedy}")]
pub struct Missing {
    /// What is needed.
    pub what: String,
    /// Why it is not there and could not be installed.
    pub why: String,
    /// What a person can do.
    pub remedy: String,
}

impl Missing {
    /// Returns a missing prerequisite with the reason and the remedy.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string(), remedy: remedy.to_string() }
    }

    /// Returns a prerequisite that is missing because of an IO error.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(what, error, "fix the cause and run again")
    }
}

/// Returns the prerequisite, or `None` when it is missing and the test may be skipped, which is announced.
///
/// # Panics
/// When it is missing and the test must not be skipped: in CI always, elsewhere unless `LITTORAL_SKIP_MISSING=1` is
/// set.
pub fn require<T>(test: &str, found: Result<T, Missing>) -> Option<T> {
    match found {
        Ok(thing) => Some(thing),
        Err(missing) if may_skip() => {
            say(format_args!("SKIPPED {test}: {missing}"));
            None
        }
        Err(missing) => panic!("{test}: {missing} (or set LITTORAL_SKIP_MISSING=1 to skip what needs it)"),
    }
}

fn may_skip() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    set("LITTORAL_SKIP_MISSING") && !set("CI")
}

/// Prints progress on standard error. Not with `eprintln`, which the test runner captures.
pub fn say(what: fmt::Arguments<'_>) {
    use std::io::Write as _;
    // A closed standard error is no reason to stop.
    let _ = writeln!(io::stderr(), "[provision] {what}");
}
