//! JSON as Python writes it: with the bare words `NaN`, `Infinity` and `-Infinity`.

use serde::Deserialize;
use std::borrow::Cow;

/// The only member of an object that stands for a bare word. No value of a request is an object, so the mark stands for
/// nothing else; a text or a number could be one that a client means.
pub const MARK: &str = "\u{1}";
const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// Parses a body as JSON and, if that fails, again as Python writes it: hardly any client sends the bare words.
/// `python` receives the converted body, from which the result may borrow.
///
/// # Errors
/// That the body is neither.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], python: &'a mut Vec<u8>) -> Result<T, serde_json::Error> {
    let error = match serde_json::from_slice(body) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    match json(body) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(as_python) => {
            *python = as_python;
            serde_json::from_slice(python)
        }
    }
}

/// Replaces the bare words `NaN`, `Infinity` and `-Infinity` in a body by objects with [`MARK`] that a
/// [`Cell`](crate::Cell) reads as numbers. Python's encoder writes these words for floats, as Feast's SDK does for its
/// rows. JSON does not have them.
pub fn json(body: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let (mut copied, mut at, mut quoted) = (0, 0, false);
    while at < body.len() {
        match body[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'N' | b'I' | b'-' if !quoted => {
                if let Some(word) = WORDS.iter().find(|word| body[at..].starts_with(word)) {
                    let out = out.get_or_insert_with(|| Vec::with_capacity(body.len() + 64));
                    out.extend_from_slice(&body[copied..at]);
                    // The mark in JSON.
                    out.extend_from_slice(b"{\"\\u0001\":\"");
                    out.extend_from_slice(word);
                    out.extend_from_slice(b"\"}");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    match out {
        None => Cow::Borrowed(body),
        Some(mut out) => {
            out.extend_from_slice(&body[copied..]);
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_words_become_marked_objects() {
        for (python, plain) in [
            (
                r#"{"a":[NaN,-Infinity,Infinity,-1]}"#,
                r#"{"a":[{"\u0001":"NaN"},{"\u0001":"-Infinity"},{"\u0001":"Infinity"},-1]}"#,
            ),
            (r#"{"NaN":"\"NaN, Infinity\\"}"#, r#"{"NaN":"\"NaN, Infinity\\"}"#),
            ("", ""),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&json(python.as_bytes())), plain);
        }
    }
}
