//! Headers that belong to one connection, and the addresses that a request was forwarded for.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use littoral_api::headers::{PART, PROJECT, TENANT};
use littoral_http::client_behind;
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the headers that belong to one connection (RFC 9110, 7.6.1).
pub(crate) fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = (headers.get_all(header::CONNECTION).iter())
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // A connection option must not remove what frames the message, names its tenant or project, or shows its
            // sender.
            .filter(|name| {
                ![header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION, TENANT, PROJECT].contains(name)
            })
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE]
    {
        headers.remove(name);
    }
}

/// Names the client in `x-forwarded-for`, and nobody else: a door trusts the router, but does not know its proxies.
pub(crate) fn forwarded_for(headers: &mut HeaderMap, connection: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) {
    let behind = if is_trusted(connection) { client_behind(headers, is_trusted) } else { None };
    if let Ok(value) = HeaderValue::try_from(behind.unwrap_or(connection).to_string()) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Returns a header that only a trusted client may send, if there is one. It is not ignored, because the client would
/// then receive something other than it demanded.
pub(crate) fn demands_trust(headers: &HeaderMap) -> Option<HeaderName> {
    [TENANT, PART].into_iter().find(|name| headers.contains_key(name))
}

/// Returns the values of `x-forwarded-for`.
pub(crate) fn forwarded(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_are_not_forwarded() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine, littoral-tenant, littoral-project"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("littoral-tenant", "acme"),
            ("littoral-project", "fraud"),
            ("accept", "*/*"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "littoral-project", "littoral-tenant"]);
    }

    #[test]
    fn a_door_learns_the_client_and_believes_only_trusted_proxies_about_it() {
        let named = |connection: &str, given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, HeaderValue::from_static(given));
            forwarded_for(&mut headers, connection.parse().unwrap(), |proxy| proxy.to_string().starts_with("10."));
            headers[FORWARDED_FOR].to_str().unwrap().to_owned()
        };
        assert_eq!(named("192.0.2.1", "203.0.113.5"), "192.0.2.1");
        assert_eq!(named("10.0.0.1", "203.0.113.5"), "203.0.113.5");
        assert_eq!(named("10.0.0.1", "198.51.100.1, 203.0.113.5, 10.0.0.2"), "203.0.113.5");
        assert_eq!(named("10.0.0.1", "unknown"), "10.0.0.1");
    }
}
