//! Headers: the router's own, and those that belong to one connection and are not passed on.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

/// The client's coordinates, as "52.5,13.4".
pub(crate) const PLACE: HeaderName = HeaderName::from_static("littoral-place");
/// The region that the client is at.
pub(crate) const REGION: HeaderName = HeaderName::from_static("littoral-region");
/// Whose request it is.
pub(crate) const TENANT: HeaderName = HeaderName::from_static("littoral-tenant");
/// How long the request may take in all, in milliseconds.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("littoral-timeout-ms");
/// How long a read may wait for freshness, in milliseconds.
pub(crate) const WAIT: HeaderName = HeaderName::from_static("littoral-wait-ms");
/// `1` to be told where the request went and why.
pub(crate) const EXPLAIN: HeaderName = HeaderName::from_static("littoral-explain");
/// Makes a repeated write safe.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Where the request went: region/node.
pub(crate) const ROUTED_TO: HeaderName = HeaderName::from_static("littoral-routed-to");
/// Why it went there.
pub(crate) const ROUTE_REASON: HeaderName = HeaderName::from_static("littoral-route-reason");

/// Says what was wrong, in a word, where the answer is a node's own.
pub(crate) const ERROR: HeaderName = HeaderName::from_static("littoral-error");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Takes out what belongs to one connection (RFC 9110, 7.6.1).
pub(crate) fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = (headers.get_all(header::CONNECTION).iter())
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // A connection option may not take out what frames the message or says whose it is.
            .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH && *name != TENANT)
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

/// Adds the connection's address to `x-forwarded-for`. What a stranger put there is not passed on.
pub(crate) fn forwarded_for(headers: &mut HeaderMap, connection: IpAddr, trusted: bool) {
    let said = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let mut chain: String = if trusted { said.collect::<Vec<_>>().join(", ") } else { String::new() };
    if !chain.is_empty() {
        chain.push_str(", ");
    }
    chain.push_str(&connection.to_string());
    if let Ok(value) = HeaderValue::try_from(chain) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// The values of `x-forwarded-for`.
pub(crate) fn forwarded(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_connection_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine, littoral-tenant"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("littoral-tenant", "acme"),
            ("accept", "*/*"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "littoral-tenant"]);
    }

    #[test]
    fn a_strangers_chain_is_replaced_and_a_proxys_grows() {
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
