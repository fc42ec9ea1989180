//! JSON as Python writes it.

use std::borrow::Cow;

/// The body, with the bare words `NaN`, `Infinity` and `-Infinity` turned into strings. Python's encoder writes them for
/// floats, as Feast's SDK does for the rows that it sends; JSON knows no such words.
pub(crate) fn json(body: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
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
                    out.push(b'"');
                    out.extend_from_slice(word);
                    out.push(b'"');
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
    fn only_bare_words_become_strings() {
        for (python, plain) in [
            (r#"{"a":[NaN,-Infinity,Infinity,-1]}"#, r#"{"a":["NaN","-Infinity","Infinity",-1]}"#),
            (r#"{"NaN":"\"NaN, Infinity\\"}"#, r#"{"NaN":"\"NaN, Infinity\\"}"#),
            ("", ""),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&json(python.as_bytes())), plain);
        }
    }
}
