//! Logs: structured events on standard error, as text for people or as JSON for collectors.

use crate::{
    request_id::{self, RequestId},
    trace::{self, TraceId},
};
use littoral_model::project::ProjectName;
use serde::Deserialize;
use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::OnceLock,
};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

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

impl Directives {
    fn filter(&self) -> EnvFilter {
        // The text was validated when the configuration was read.
        self.0.parse().unwrap_or_default()
    }
}

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

/// The filter of the running process.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging. A second call in one process changes nothing.
pub fn install(config: &Config) {
    let (filter, handle) = reload::Layer::new(config.level.filter());
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match config.format {
        Format::Text => {
            let ansi = stderr_is_terminal();
            registry.with(fmt::layer().with_writer(writer(Format::Text, ansi)).with_ansi(ansi)).try_init()
        }
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(writer(Format::Json, false));
            registry.with(layer).try_init()
        }
    };
    if installed.is_ok() {
        let _first = FILTER.set(handle);
    }
}

/// Changes what the running process logs.
pub fn set_level(level: &Directives) {
    if let Some(handle) = FILTER.get()
        && let Err(error) = handle.reload(level.filter())
    {
        tracing::warn!(%error, "the log level could not be changed");
    }
}

fn stderr_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns the writer of the events that the current task logs.
fn writer(format: Format, ansi: bool) -> impl Fn() -> OneLine<io::Stderr> {
    move || OneLine { out: io::stderr(), format, ansi, request: Request::current() }
}

/// Writes an event as one line, whatever its values contain. Otherwise a name that a peer chose could end a line and
/// forge the next, or control a terminal. Each event arrives in one `write`.
///
/// It also adds what identifies the request that the task works for. A span of `tracing` would do so too, but every
/// request would pay for it, and most log nothing.
struct OneLine<W> {
    out: W,
    format: Format,
    /// Whether the event is coloured. The escape sequences in it are then our own and must be kept.
    ansi: bool,
    request: Request,
}

/// The request that an event belongs to.
#[derive(Debug, Default)]
struct Request {
    id: Option<RequestId>,
    trace: Option<TraceId>,
    project: Option<ProjectName>,
}

impl Request {
    fn current() -> Self {
        let trace = trace::current().map(|context| context.trace);
        Self { id: request_id::current(), trace, project: request_id::current_project() }
    }

    /// Returns its fields. Their characters need no escapes.
    fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let id = self.id.as_ref().map(|id| ("request", id.to_string()));
        let trace = self.trace.map(|trace| ("trace", trace.to_string()));
        let project = self.project.as_ref().map(|project| ("project", project.to_string()));
        [id, trace, project].into_iter().flatten()
    }
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = match self.format {
            Format::Text => one_line(&text, self.ansi),
            // JSON has its own escapes.
            Format::Json => text.into_owned(),
        };
        add_request(&mut line, self.format, &self.request);
        self.out.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Adds what identifies a request at the end of an event.
fn add_request(line: &mut String, format: Format, request: &Request) {
    let end = match format {
        Format::Text => "\n",
        Format::Json => "}\n",
    };
    if !line.ends_with(end) {
        return;
    }
    line.truncate(line.len() - end.len());
    for (key, value) in request.fields() {
        // Writing to a string does not fail.
        let _ = match format {
            Format::Text => write!(line, " {key}={value}"),
            // A key must not occur twice in an object. Within a value its quotes would be escaped.
            Format::Json if line.contains(&format!(r#""{key}":"#)) => Ok(()),
            Format::Json => write!(line, r#","{key}":"{value}""#),
        };
    }
    line.push_str(end);
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
        let mut to = OneLine { out: &mut written, format: Format::Text, ansi: false, request: Request::default() };
        to.write_all(forged.as_bytes()).unwrap();
        let line = String::from_utf8(written).unwrap();
        assert_eq!(line, "INFO joined subscriber=x\\r\\n2026 WARN forged\\u{85}\\u{2028}\\u{1b}[2J\tend\n");
        assert_eq!(one_line("\u{1b}[32mINFO\u{1b}[0m fine\n", true), "\u{1b}[32mINFO\u{1b}[0m fine\n");
    }

    #[test]
    fn an_event_of_a_request_carries_its_id_its_trace_and_its_project() {
        let id = http::HeaderMap::from_iter([(request_id::HEADER, http::HeaderValue::from_static("a-1"))]);
        let context: trace::TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let lines = [(Format::Text, "INFO done rows=2\n"), (Format::Json, "{\"level\":\"INFO\"}\n")];
        let written = lines.map(|(format, line)| {
            let mut out = Vec::new();
            let request = Request {
                id: Some(RequestId::of(&id)),
                trace: Some(context.trace),
                project: Some("fraud".parse().unwrap()),
            };
            OneLine { out: &mut out, format, ansi: false, request }.write_all(line.as_bytes()).unwrap();
            String::from_utf8(out).unwrap()
        });
        let expected = [
            "INFO done rows=2 request=a-1 trace=4bf92f3577b34da6a3ce929d0e0e4736 project=fraud\n",
            "{\"level\":\"INFO\",\"request\":\"a-1\",\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"project\":\"fraud\"}\n",
        ];
        assert_eq!(written, expected);
        let mut line = r#"{"level":"INFO","text":"\"request\":","project":"own"}"#.to_owned() + "\n";
        let request = Request { id: Some(RequestId::of(&id)), trace: None, project: Some(ProjectName::default()) };
        add_request(&mut line, Format::Json, &request);
        assert!(line.ends_with(",\"project\":\"own\",\"request\":\"a-1\"}\n"), "a key twice: {line}");
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
