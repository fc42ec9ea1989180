//! Logs: structured events on standard error, as text for people or as JSON for collectors.

use serde::Deserialize;
use std::{
    fmt::Write as _,
    io::{self, Write},
};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// `[logging]`: what is logged, and in which format.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or directives such as
    /// `info,littoral_feed=debug`.
    pub level: Directives,
    /// The format of events.
    pub format: Format,
}

/// The format of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// Validated filter directives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Directives(String);

/// A text that is not a filter.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a log filter ({reason}); use a level such as \"info\", or \"info,littoral_feed=debug\"")]
pub struct InvalidDirectives {
    text: String,
    reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: Directives("info".to_owned()), format: Format::default() }
    }
}

impl TryFrom<String> for Directives {
    type Error = InvalidDirectives;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A bare word that is not a level would be parsed as a target, and nothing would be logged.
        let bare = |part: &str| !part.contains(['=', '[', ':']) && part.parse::<tracing::Level>().is_err();
        if text.trim().is_empty() || text.split(',').any(|part| bare(part.trim()) && part.trim() != "off") {
            return Err(InvalidDirectives { text, reason: "not a level".to_owned() });
        }
        match text.parse::<EnvFilter>() {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(InvalidDirectives { text, reason: error.to_string() }),
        }
    }
}

/// Starts logging. A second call in one process changes nothing.
pub fn install(config: &Config) {
    // The text was validated when the configuration was read.
    let filter = config.level.0.parse::<EnvFilter>().unwrap_or_default();
    let registry = tracing_subscriber::registry().with(filter);
    let _already = match config.format {
        Format::Text => {
            let ansi = stderr_is_terminal();
            let writer = move || OneLine { out: io::stderr(), ansi };
            registry.with(fmt::layer().with_writer(writer).with_ansi(ansi)).try_init()
        }
        Format::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init(),
    };
}

fn stderr_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Writes an event as one line, whatever its values contain. Otherwise a name that a peer chose could end a line and
/// forge the next, or control a terminal. Each event arrives in one `write`.
struct OneLine<W> {
    out: W,
    /// Whether the event is coloured. The escape sequences in it are then our own and must be kept.
    ansi: bool,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.out.write_all(one_line(&String::from_utf8_lossy(event), self.ansi).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Escapes control characters and line separators, except tabs, the newline at the end, and ESC if `ansi` is set.
fn one_line(event: &str, ansi: bool) -> String {
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    let mut out = String::with_capacity(event.len());
    for character in line.chars() {
        let ours = character == '\t' || ansi && character == '\u{1b}';
        let separates = matches!(character, '\u{2028}' | '\u{2029}');
        if separates || character.is_control() && !ours {
            // Writing to a string does not fail.
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out.push_str(end);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_line_or_controls_a_terminal() {
        let mut written = Vec::new();
        let forged = "INFO joined subscriber=x\r\n2026 WARN forged\u{85}\u{2028}\u{1b}[2J\tend\n";
        OneLine { out: &mut written, ansi: false }.write_all(forged.as_bytes()).unwrap();
        let line = String::from_utf8(written).unwrap();
        assert_eq!(line, "INFO joined subscriber=x\\r\\n2026 WARN forged\\u{85}\\u{2028}\\u{1b}[2J\tend\n");
        assert_eq!(one_line("\u{1b}[32mINFO\u{1b}[0m fine\n", true), "\u{1b}[32mINFO\u{1b}[0m fine\n");
    }

    #[test]
    fn a_misspelt_level_is_rejected_with_a_remedy() {
        let error = Directives::try_from("inof".to_owned()).unwrap_err().to_string();
        assert!(error.contains("'inof'") && error.contains("info"), "{error}");
        for fine in ["info", "warn", "off", "info,littoral_feed=debug"] {
            Directives::try_from(fine.to_owned()).unwrap();
        }
    }

    #[test]
    fn json_is_a_format_and_yaml_is_not() {
        assert_eq!(toml::from_str::<Config>("format = \"json\"").unwrap().format, Format::Json);
        assert!(toml::from_str::<Config>("format = \"yaml\"").is_err());
    }
}
