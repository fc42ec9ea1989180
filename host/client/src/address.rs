//! Parses the address of a node.

use crate::Error;
use http::Uri;
use littoral_model::url::without_user;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The address of a node's door: scheme and authority, no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Parses `http://host:port` and `https://host:port`, with or without a final slash, and `host:port`, which is
    /// https if the client has trusted roots.
    pub(crate) fn parse(given: &str, has_roots: bool) -> Result<Self, Error> {
        let reject = |reason: &str| Error::Address {
            given: without_user(given).chars().take(200).collect(),
            reason: reason.to_owned(),
        };
        let whole = if given.contains("://") {
            given.to_owned()
        } else {
            format!("{}://{given}", if has_roots { "https" } else { "http" })
        };
        let uri: Uri = whole.parse().map_err(|_| reject("it is not a URL"))?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme.ok_or_else(|| reject("its scheme is neither http nor https"))?;
        let authority = uri.authority().filter(|a| !a.host().is_empty()).ok_or_else(|| reject("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(reject("it has a user name, which is not supported"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(reject("it has a path; use only scheme, host and port"));
        }
        Ok(Self(format!("{scheme}://{authority}")))
    }

    /// Returns whether connections to it use TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// Returns scheme, host and port.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The characters to escape in a segment of a path and in the value of a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Escapes the characters that are not allowed in a segment of a path or in the value of a query.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for given in ["http://127.0.0.1:6566", "http://127.0.0.1:6566/", "127.0.0.1:6566"] {
            assert_eq!(Address::parse(given, false).unwrap().as_str(), "http://127.0.0.1:6566");
        }
        assert_eq!(Address::parse("https://a:1/", false).unwrap().as_str(), "https://a:1");
        assert_eq!(Address::parse("a:1", true).unwrap().as_str(), "https://a:1");
        for bad in ["", "ftp://a", "http://", "http://a/v1", "http://u:p@a", "http://a b"] {
            let error = Address::parse(bad, false).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:6566") && !error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(escape("a/../b?c=ä"), "a%2F..%2Fb%3Fc%3D%C3%A4");
    }
}
