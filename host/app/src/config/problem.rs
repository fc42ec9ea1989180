//! Problems of a configuration: where, what, and what to do.

use crate::config::{places::Places, suggest};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, with the line if it is known.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// An environment variable.
    Environment(String),
    /// A command line flag.
    Flag(String),
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, with its sections; empty when it concerns the whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Place {
    /// Returns the line of a file, from 1, if it is known.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => *line,
            Self::Environment(_) | Self::Flag(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "key '{}': ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl Problem {
    /// Returns the problem of a file that cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self {
            place: Place::File { path: path.to_owned(), line: None },
            key: String::new(),
            what: format!("cannot be read: {error}"),
            remedy: "check the path and its permissions".to_owned(),
        }
    }

    /// Returns the problem that the TOML parser or a section's type has found in a file's text.
    pub fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let places = Places::of(text);
        let line = error.span().map(|span| places.line_at(span.start));
        let key = error.span().map(|span| places.key_at(&span)).unwrap_or_default();
        let (what, remedy) = explain(error.message());
        Self { place: Place::File { path: path.to_owned(), line }, key, what, remedy }
    }

    /// Returns the problem that a section's type has found in a value from elsewhere than a file.
    pub fn in_value(place: Place, key: &str, error: &toml::de::Error) -> Self {
        let (what, remedy) = explain(error.message());
        Self { place, key: key.to_owned(), what, remedy }
    }
}

/// Rephrases a deserialiser's message for the author of the file. Returns what is wrong, and what to do.
fn explain(message: &str) -> (String, String) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (unknown, known) = quoted(rest);
        let guess = suggest::closest(&unknown, known.iter().map(String::as_str));
        let list = if known.is_empty() { String::new() } else { format!("; known here: {}", known.join(", ")) };
        let remedy = match guess {
            Some(guess) => format!("did you mean '{guess}'?{}", list.replacen("; known", " Known", 1)),
            None => format!("remove it{list}"),
        };
        return (format!("there is no key '{unknown}'"), remedy);
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (unknown, known) = quoted(rest);
        let guess = suggest::closest(&unknown, known.iter().map(String::as_str));
        let remedy = match guess {
            Some(guess) => format!("did you mean \"{guess}\"? Allowed: {}", known.join(", ")),
            None => format!("allowed: {}", known.join(", ")),
        };
        return (format!("'{unknown}' is not an allowed value"), remedy);
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let (missing, _) = quoted(rest);
        return (format!("'{missing}' is missing"), "add it".to_owned());
    }
    if message == "invalid socket address syntax" {
        let remedy = "write an IP address and a port, such as \"127.0.0.1:6566\"";
        return ("this is not an address to listen on".to_owned(), remedy.to_owned());
    }
    if let Some((what, expected)) = message.rsplit_once(", expected ") {
        return (what.to_owned(), format!("write {}", wanted(expected)));
    }
    (message.trim_end().replace('\n', ": "), String::new())
}

/// Returns the key that the author of an unknown key probably meant, if this is the error for an unknown key.
pub fn meant(error: &toml::de::Error) -> Option<String> {
    let (unknown, known) = quoted(error.message().strip_prefix("unknown field ")?);
    suggest::closest(&unknown, known.iter().map(String::as_str)).map(str::to_owned)
}

/// Returns the words between backticks: the first one, and the others.
fn quoted(text: &str) -> (String, Vec<String>) {
    let mut words = text.split('`').skip(1).step_by(2).map(str::to_owned);
    (words.next().unwrap_or_default(), words.collect())
}

fn wanted(expected: &str) -> String {
    let plain = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative, without quotes",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number, without quotes",
        "f32" | "f64" => "a number, without quotes",
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number above zero, without quotes",
        "a boolean" => "true or false, without quotes",
        "a string" => "text in quotes",
        "a sequence" => "a list, such as [\"one\", \"other\"]",
        "a map" => "a table, such as { key = value }",
        "socket address" => "an address with a port, such as \"127.0.0.1:6566\"",
        other => other,
    };
    plain.to_owned()
}
