//! What people and programs see.

pub mod paint;
pub mod progress;
pub mod table;
pub mod text;

use crate::failure::Failure;
use serde::Serialize;
use std::io::{ErrorKind, Write};

pub use paint::Paint;
pub use table::Table;

/// Prints a command's answer: JSON when programs ask, else what `human` writes.
///
/// # Errors
/// When standard output is closed or the answer cannot be written as JSON.
pub fn answer<T: Serialize>(json: bool, value: &T, human: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string_pretty(value).map_err(|error| Failure::refused(format!("cannot write JSON: {error}")))?
    } else {
        human(value)
    };
    line(text.trim_end_matches('\n'))
}

/// Prints one line, at once: a reader at the other end of a pipe waits for it. One that has gone away, as `head` does,
/// is no fault.
///
/// # Errors
/// When standard output cannot be written to.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::refused(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says something while a command is still at work, on standard error.
pub fn note(text: &str) {
    // A standard error that is closed is no reason to stop.
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}
