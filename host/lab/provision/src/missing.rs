//! What happens when something that a test needs cannot be had.

use std::{fmt, io};

/// Something needed cannot be found or installed.
#[derive(Debug, thiserror::Error)]
#[error("{what} is needed and cannot be had: {why}; {remedy}")]
pub struct Missing {
    /// What is needed.
    pub what: String,
    /// Why it is not there and could not be installed.
    pub why: String,
    /// What a person can do.
    pub remedy: String,
}

impl Missing {
    /// A lack with its reason and remedy.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string(), remedy: remedy.to_string() }
    }

    /// A step of provisioning that the system refused.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(what, error, "make that possible and run again")
    }
}

/// The thing, or `None` when it is missing and the environment allows tests to be skipped for that. Announces both.
///
/// # Panics
/// When it is missing and may not be skipped: a lack fails the test that needs it, in CI always, elsewhere unless
/// `LITTORAL_SKIP_MISSING=1` is set.
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

/// Tells the person at the terminal what is being done. Not `eprintln`: the test runner would keep that to itself.
pub fn say(what: fmt::Arguments<'_>) {
    use std::io::Write as _;
    // A closed standard error is no reason to stop.
    let _ = writeln!(io::stderr(), "[provision] {what}");
}
