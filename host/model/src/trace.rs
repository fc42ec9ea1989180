//! The trace that a request belongs to, as W3C Trace Context carries it between processes
//! (<https://www.w3.org/TR/trace-context/>).

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
    str::FromStr,
    sync::Arc,
};

/// The longest `tracestate` that is passed on, in bytes.
pub const STATE_LEN_MAX: usize = 512;

/// The number of entries that a `tracestate` may have.
const STATE_ENTRIES_MAX: usize = 32;

/// The length of a `traceparent` of version 00.
const PARENT_LEN: usize = 55;

/// The flag of a sampled trace.
const SAMPLED: u8 = 1;

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceId(pub NonZeroU128);

/// The id of a span: one piece of work within a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpanId(pub NonZeroU64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a trace: the span on whose behalf work is done. Its text form is a `traceparent` of version 00.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether the spans of the trace are recorded.
    pub sampled: bool,
    /// What other tracing systems have added; it is passed on unchanged.
    pub state: Option<TraceState>,
}

/// The value of a `tracestate` header: at most 512 bytes of valid entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceState(Arc<str>);

/// A text that is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a traceparent")]
pub struct InvalidTraceParent;

/// A text that is not a `tracestate`, or is too long to pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a tracestate of at most {STATE_LEN_MAX} bytes")]
pub struct InvalidTraceState;

// === impl TraceContext ===

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled) * SAMPLED)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    /// Parses a `traceparent`. Of a version above 00, the fields of version 00 are read, as the standard requires.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let bytes = text.as_bytes();
        let version = hex(bytes.get(..2)).ok_or(InvalidTraceParent)?;
        let has_rest = match version {
            0 => bytes.len() == PARENT_LEN,
            0xff => false,
            _ => bytes.len() == PARENT_LEN || bytes.get(PARENT_LEN) == Some(&b'-'),
        };
        let has_dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !has_rest || !has_dashes {
            return Err(InvalidTraceParent);
        }
        let trace = hex(bytes.get(3..35)).and_then(NonZeroU128::new).ok_or(InvalidTraceParent)?;
        let span = hex(bytes.get(36..52)).and_then(|span| NonZeroU64::new(u64::try_from(span).ok()?));
        let flags = hex(bytes.get(53..PARENT_LEN)).ok_or(InvalidTraceParent)?;
        Ok(Self {
            trace: TraceId(trace),
            span: SpanId(span.ok_or(InvalidTraceParent)?),
            sampled: flags & u128::from(SAMPLED) != 0,
            state: None,
        })
    }
}

/// Reads lower-case hexadecimal digits, at most 32.
fn hex(digits: Option<&[u8]>) -> Option<u128> {
    digits?.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

// === impl TraceState ===

impl TraceState {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TraceState {
    type Err = InvalidTraceState;

    fn from_str(text: &str) -> Result<Self, InvalidTraceState> {
        let mut entries =
            text.split(',').map(|entry| entry.trim_matches([' ', '\t'])).filter(|entry| !entry.is_empty());
        let are_valid = entries.clone().all(is_entry);
        let count = entries.by_ref().count();
        let is_valid = are_valid && (1..=STATE_ENTRIES_MAX).contains(&count) && text.len() <= STATE_LEN_MAX;
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidTraceState) }
    }
}

impl TryFrom<String> for TraceState {
    type Error = InvalidTraceState;

    fn try_from(text: String) -> Result<Self, InvalidTraceState> {
        text.parse()
    }
}

impl From<TraceState> for String {
    fn from(state: TraceState) -> Self {
        state.0.as_ref().to_owned()
    }
}

/// Whether a text is `KEY=VALUE` with the characters that the standard allows.
fn is_entry(entry: &str) -> bool {
    let Some((key, value)) = entry.split_once('=') else { return false };
    let of_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let of_value = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    let begins = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins
        && key.len() <= 256
        && key.bytes().all(of_key)
        && (1..=256).contains(&value.len())
        && value.bytes().all(of_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_traceparent_is_parsed_and_written() {
        let context: TraceContext = PARENT.parse().unwrap();
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span.to_string(), "00f067aa0ba902b7");
        assert!(context.sampled);
        assert_eq!(context.to_string(), PARENT);
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(unsampled.parse::<TraceContext>().unwrap().to_string(), unsampled);
        // Flags without a meaning here are not passed on.
        assert_eq!(PARENT.replace("-01", "-ff").parse::<TraceContext>().unwrap().to_string(), PARENT);
        assert_eq!(PARENT.replace("-01", "-fe").parse::<TraceContext>().unwrap().to_string(), unsampled);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for text in [PARENT.replacen("00", "01", 1), format!("{}-what-else", PARENT.replacen("00", "fe", 1))] {
            assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), PARENT, "{text}");
        }
    }

    #[test]
    fn everything_else_is_invalid() {
        for text in [
            String::new(),
            "00".to_owned(),
            PARENT.to_uppercase(),
            PARENT.replace("4bf9", "4BF9"),
            PARENT.replace('-', "_"),
            PARENT.replace("-01", "-0"),
            PARENT.replace("-01", "-0g"),
            PARENT.replace("-01", "-+1"),
            PARENT.replacen("00", "ff", 1),
            PARENT.replacen("00", "0x", 1),
            format!("{PARENT}-more"),
            format!("{PARENT} "),
            format!(" {PARENT}"),
            format!("{}.more", PARENT.replacen("00", "01", 1)),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f35"),
            PARENT.replace("4bf92f3577b34da6", "\u{e9}f92f3577b34da"),
            "\u{1f600}".repeat(20),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceParent), "{text}");
        }
    }

    #[test]
    fn a_tracestate_is_passed_on_only_if_it_is_valid_and_short() {
        for valid in [
            "a=1",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "tenant@system=x y, ,b=2",
            &format!("a={}", "x".repeat(256)),
        ] {
            assert_eq!(valid.parse::<TraceState>().unwrap().as_str(), valid);
        }
        let many: Vec<_> = (0..33).map(|at| format!("k{at}=1")).collect();
        let long: Vec<_> = (0..3).map(|at| format!("k{at}={}", "x".repeat(200))).collect();
        for invalid in ["", ",", "a", "A=1", "a=", "=1", "a=b=c", "a=\u{e9}", "a=1\n", &many.join(","), &long.join(",")]
        {
            assert_eq!(invalid.parse::<TraceState>(), Err(InvalidTraceState), "{invalid}");
        }
    }
}
