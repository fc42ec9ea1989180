//! What is wrong with a configuration: where, what, and what to do.

use crate::config::suggest;
use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, as far as known with the line.
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

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, with its sections; empty when the whole is at fault.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
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
    /// A file that cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self {
            place: Place::File { path: path.to_owned(), line: None },
            key: String::new(),
            what: format!("cannot be read: {error}"),
            remedy: "check the path and its permissions".to_owned(),
        }
    }

    /// What the TOML parser or a section's types say of a file's text.
    pub fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let line = error.span().map(|span| line_at(text, span.start));
        let (what, remedy) = explain(error.message());
        Self { place: Place::File { path: path.to_owned(), line }, key: key_at(text, &span), what, remedy }
    }

    /// What a section's types say of a value that did not come from a file.
    pub fn in_value(place: Place, key: &str, error: &toml::de::Error) -> Self {
        let (what, remedy) = explain(error.message());
        Self { place, key: key.to_owned(), what, remedy }
    }
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// The key at a place of the text, with the section it stands in.
fn key_at(text: &str, span: &Range<usize>) -> String {
    let line_start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let Some((key, _)) = line.split_once('=') else {
        return line.trim().trim_matches(['[', ']']).trim().to_owned();
    };
    let section = text.get(..line_start).and_then(|before| {
        before.lines().rev().map(str::trim).find(|line| line.starts_with('[') && line.trim_end().ends_with(']'))
    });
    match section {
        Some(section) => format!("{}.{}", section.trim_matches(['[', ']']).trim(), key.trim()),
        None => key.trim().to_owned(),
    }
}

/// Says a deserialiser's message in the words of whoever wrote the file, with what to do about it.
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
        return (format!("'{unknown}' is not a value that it takes"), remedy);
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let (missing, _) = quoted(rest);
        return (format!("'{missing}' is missing"), "add it".to_owned());
    }
    if message == "invalid socket address syntax" {
        let remedy = "write an IP address and a port, as \"127.0.0.1:6566\"";
        return ("that is not an address to listen on".to_owned(), remedy.to_owned());
    }
    if let Some((what, expected)) = message.rsplit_once(", expected ") {
        return (what.to_owned(), format!("it takes {}", wanted(expected)));
    }
    (message.trim_end().replace('\n', ": "), String::new())
}

/// The words between backticks: the first one, and the others.
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
        "a sequence" => "a list, as [\"one\", \"other\"]",
        "a map" => "a table, as { key = value }",
        "socket address" => "an address with a port, such as \"127.0.0.1:6566\"",
        other => other,
    };
    plain.to_owned()
}
