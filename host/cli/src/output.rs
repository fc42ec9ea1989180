//! What commands print: text for people, JSON for programs.

pub mod paint;
pub mod table;
pub mod text;

use crate::failure::Failure;
use serde::Serialize;
use std::io::{ErrorKind, Write};

pub use paint::Paint;
pub use table::Table;

/// Prints a command's result: as JSON with `--json`, otherwise as `human` formats it.
///
/// # Errors
/// When standard output cannot be written to, or the value cannot be written as JSON.
pub fn answer<T: Serialize>(json: bool, value: &T, human: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string_pretty(value).map_err(|error| Failure::rejected(format!("cannot write JSON: {error}")))?
    } else {
        human(value)
    };
    line(text.trim_end_matches('\n'))
}

/// Prints one line and flushes it, so that a reader at the other end of a pipe gets it at once. A reader that has
/// closed the pipe, as `head` does, is not an error.
///
/// # Errors
/// When standard output cannot be written to.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::rejected(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints progress on standard error while a command is still running.
pub fn note(text: &str) {
    // A closed standard error is no reason to stop.
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}
