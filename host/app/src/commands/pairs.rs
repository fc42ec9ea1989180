//! Parses `NAME=VALUE,..` from the command line.

use crate::failure::Failure;
use serde_json::Value;

/// A value from the command line.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// Unquoted text.
    Bare(String),
    /// JSON: in double quotes, or from an object.
    Json(Value),
}

impl Given {
    /// Returns unquoted text as a string, whatever it looks like, and JSON unchanged.
    pub fn into_text(self) -> Value {
        match self {
            Self::Bare(text) => Value::String(text),
            Self::Json(value) => value,
        }
    }

    /// Returns unquoted text as a number, true, false or null if it is one in JSON, and otherwise as a string.
    pub fn into_scalar(self) -> Value {
        match self {
            Self::Bare(text) => match serde_json::from_str(&text) {
                Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
                _ => Value::String(text),
            },
            Self::Json(value) => value,
        }
    }
}

/// Parses `a=1,b=2`, or a JSON object. A comma belongs to the value before it unless another `NAME=` follows. A value
/// that begins with a double quote is a JSON string if a comma or nothing follows the closing quote.
///
/// # Errors
/// If a name is missing.
pub fn parse(text: &str) -> Result<Vec<(String, Given)>, Failure> {
    if text.trim_start().starts_with('{')
        && let Ok(Value::Object(members)) = serde_json::from_str(text)
    {
        return Ok(members.into_iter().map(|(name, value)| (name, Given::Json(value))).collect());
    }
    let mut pairs = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = named(rest).ok_or_else(|| {
            Failure::usage(format!("'{rest}' is not NAME=VALUE, as in --entity origin=ATL,destination=ORD"))
        })?;
        if let Some((value, after)) = quoted(after) {
            pairs.push((name.to_owned(), Given::Json(value)));
            match after {
                None => return Ok(pairs),
                Some(after) => rest = after,
            }
            continue;
        }
        // The first comma that another name follows.
        let end = after.match_indices(',').map(|(at, _)| at).find(|at| named(&after[at + 1..]).is_some());
        pairs.push((name.to_owned(), Given::Bare(after[..end.unwrap_or(after.len())].to_owned())));
        match end {
            None => return Ok(pairs),
            Some(end) => rest = &after[end + 1..],
        }
    }
}

/// Returns the name at the beginning of a text, and the rest after its `=`.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty() && !name.contains([',', '"'])).then_some((name, rest))
}

/// Returns a JSON string, and the rest after the comma that follows it, if there is one.
fn quoted(text: &str) -> Option<(Value, Option<&str>)> {
    if !text.starts_with('"') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let rest = &text[values.byte_offset()..];
    match rest.strip_prefix(',') {
        Some(after) => Some((value, Some(after))),
        None => rest.is_empty().then_some((value, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(text: &str) -> Vec<(String, Value)> {
        parse(text).unwrap().into_iter().map(|(name, given)| (name, given.into_text())).collect()
    }

    #[test]
    fn values_are_parsed_literally() {
        for (given, expected) in [
            ("origin=ATL,destination=ORD", vec![("origin", "ATL"), ("destination", "ORD")]),
            ("code= lead", vec![("code", " lead")]),
            ("code=trail ,n=1", vec![("code", "trail "), ("n", "1")]),
            ("code=a,b", vec![("code", "a,b")]),
            ("code=a,b, other=,", vec![("code", "a,b"), ("other", ",")]),
            ("code=", vec![("code", "")]),
            ("code=a=b", vec![("code", "a=b")]),
            (r#"code="a,x=1",n=2"#, vec![("code", "a,x=1"), ("n", "2")]),
            (r#"code="say \"hi\"""#, vec![("code", "say \"hi\"")]),
            (r#"code="a"b"#, vec![("code", "\"a\"b")]),
            (r#"{"code": " a,n=1", "n": "2"}"#, vec![("code", " a,n=1"), ("n", "2")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
            assert_eq!(texts(given), expected, "{given}");
        }
        for wrong in ["ATL", "", "=ATL", "code", ",a=1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parameters_are_numbers_where_they_look_like_one_and_are_not_quoted() {
        let scalar = |text: &str| parse(text).unwrap().remove(0).1.into_scalar();
        assert_eq!(scalar("hour=17"), json!(17));
        assert_eq!(scalar("late=true"), json!(true));
        assert_eq!(scalar(r#"name="17""#), json!("17"));
        assert_eq!(scalar("name=seventeen"), json!("seventeen"));
        assert_eq!(scalar("name=[1]"), json!("[1]"));
    }
}
