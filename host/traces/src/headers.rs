//! Headers that a collector requires, from a file. Their values are secrets: no error contains them.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Parses `NAME: VALUE` lines. Blank lines and lines that begin with `#` are ignored.
///
/// # Errors
/// The number of the line, and what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what| format!("line {}: {what}; write it as NAME: VALUE", at + 1);
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("it has no colon"))?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong("its name is not one of a header"))?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong("its value is not one of a header"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_sent_and_never_shown() {
        let headers = parse("# of the vendor\n\nauthorization: Bearer s3cret:x\n X-Team : ml \n").unwrap();
        assert_eq!(
            (&headers["authorization"], &headers["x-team"]),
            (&"Bearer s3cret:x".parse().unwrap(), &"ml".parse().unwrap())
        );
        assert!(!format!("{headers:?}").contains("s3cret"));
        for (text, expected) in [
            ("a: b\ns3cret", "line 2: it has no colon"),
            ("s3 cret: x", "line 1: its name"),
            ("a: s3cret\u{7f}", "line 1: its value"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("cret"), "{error}");
        }
    }
}
