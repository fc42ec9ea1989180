//! A node's address as people write it.

use crate::Error;
use http::Uri;

/// Where a node's door is: scheme and authority, no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Takes `http://host:port`, with or without a slash at the end, and `host:port`.
    pub(crate) fn parse(given: &str) -> Result<Self, Error> {
        let refuse =
            |reason: &str| Error::Address { given: given.chars().take(200).collect(), reason: reason.to_owned() };
        let whole = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        let uri: Uri = whole.parse().map_err(|_| refuse("it is no URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(refuse("TLS is not spoken here; put a TLS proxy before the node, or use http"));
            }
            _ => return Err(refuse("its scheme is not http")),
        }
        let authority = uri.authority().filter(|a| !a.host().is_empty()).ok_or_else(|| refuse("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it holds a user name, which is not supported"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refuse("it has a path; give only scheme, host and port"));
        }
        Ok(Self(format!("http://{authority}")))
    }

    /// Scheme, host and port.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Escapes what may not stand in one segment of a path or in a query's value.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for given in ["http://127.0.0.1:6566", "http://127.0.0.1:6566/", "127.0.0.1:6566"] {
            assert_eq!(Address::parse(given).unwrap().as_str(), "http://127.0.0.1:6566");
        }
        for bad in ["", "https://a", "ftp://a", "http://", "http://a/v1", "http://u:p@a", "http://a b"] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:6566"), "{error}");
        }
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(escape("a/../b?c=ä"), "a%2F..%2Fb%3Fc%3D%C3%A4");
    }
}
