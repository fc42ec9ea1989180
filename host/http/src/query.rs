//! Queries and percent-encoding.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Decodes percent-encoding. Malformed sequences are kept, and so is a text that is not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

/// Returns a parameter of a query.
#[must_use]
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    raw(query, name).map(decode)
}

/// Returns a parameter of a form's query, in which `+` stands for a space.
#[must_use]
pub fn form_parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    raw(query, name).map(|value| match value.contains('+') {
        true => Cow::Owned(decode(&value.replace('+', " ")).into_owned()),
        false => decode(value),
    })
}

fn raw<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter(Some("limit=5&cursor=a%2Bb"), "cursor").as_deref(), Some("a+b"));
        assert_eq!(parameter(Some("release=1.0+build"), "release").as_deref(), Some("1.0+build"));
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "%ff", "it is not UTF-8");
    }

    #[test]
    fn a_plus_in_a_form_is_a_space() {
        let query = Some("place=52.5%2C13.4&tenant=a+b&path=%zz");
        assert_eq!(form_parameter(query, "place").as_deref(), Some("52.5,13.4"));
        assert_eq!(form_parameter(query, "tenant").as_deref(), Some("a b"));
        assert_eq!(form_parameter(query, "path").as_deref(), Some("%zz"));
        assert_eq!(form_parameter(query, "region"), None);
    }
}
