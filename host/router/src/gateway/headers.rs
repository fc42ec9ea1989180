//! Headers that belong to one connection, and the addresses that a request was forwarded for.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use littoral_api::headers::{PART, PROJECT, TENANT};
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

/// Adds the connection's address to `x-forwarded-for`. The addresses of an untrusted client are replaced.
pub(crate) fn forwarded_for(headers: &mut HeaderMap, connection: IpAddr, trusted: bool) {
    let given = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let mut chain: String = if trusted { given.collect::<Vec<_>>().join(", ") } else { String::new() };
    if !chain.is_empty() {
        chain.push_str(", ");
    }
    chain.push_str(&connection.to_string());
    if let Ok(value) = HeaderValue::try_from(chain) {
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
    fn the_chain_of_an_untrusted_client_is_replaced_and_that_of_a_proxy_grows() {
        let chain = |trusted| {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, HeaderValue::from_static("203.0.113.5"));
            forwarded_for(&mut headers, "10.0.0.1".parse().unwrap(), trusted);
            headers[FORWARDED_FOR].to_str().unwrap().to_owned()
        };
        assert_eq!(chain(false), "10.0.0.1");
        assert_eq!(chain(true), "203.0.113.5, 10.0.0.1");
    }
}
