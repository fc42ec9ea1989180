//! Clients behind trusted proxies: bounds per address apply to them instead of the proxy.

use crate::{Group, Load};
use http::{HeaderMap, HeaderName};
use littoral_runtime::live::Live;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What clients behind proxies use of the bounds that clients share.
#[derive(Debug, Default)]
pub struct Behind(Live<Group, Load>);

impl Behind {
    /// Returns the load of the client that a trusted proxy names in `x-forwarded-for`. `None` if it names none.
    /// `is_trusted` decides about the addresses of further proxies before it.
    pub fn load(&self, headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<Arc<Load>> {
        let client = client_behind(headers, is_trusted)?;
        Some(self.0.get(Group::of(client), Load::default))
    }
}

/// Returns the last address in `x-forwarded-for` that is not a trusted proxy's. What an address before it states is not
/// trustworthy.
pub fn client_behind(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    // As bytes: a client can send some that are no text, before what its proxy adds.
    let hops = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    // An invalid address ends the chain.
    hops.map_while(address).find(|hop| !is_trusted(*hop))
}

/// Parses an address, with or without a port and brackets.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_trusted_proxy_names_its_client() {
        let proxies = |address: IpAddr| address.to_string().starts_with("10.");
        let client = |forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            client_behind(&headers, proxies).map(|client| client.to_string())
        };
        assert_eq!(client(&["203.0.113.7"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&["198.51.100.1, 203.0.113.7:99, 10.0.0.2"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&["203.0.113.7", "10.0.0.3"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&["\u{e9}, 203.0.113.7"]).as_deref(), Some("203.0.113.7"), "bytes that are no text");
        assert_eq!(client(&["[2001:db8::1]"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(client(&["[2001:db8::1]:99"]).as_deref(), Some("2001:db8::1"));
        for nothing in [&[][..], &["10.0.0.2"], &["203.0.113.7, unknown"]] {
            assert_eq!(client(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn requests_of_one_client_through_two_proxies_count_together() {
        let (behind, mut headers) = (Behind::default(), HeaderMap::new());
        headers.insert(FORWARDED_FOR, "203.0.113.7".parse().unwrap());
        let load = |headers: &HeaderMap| behind.load(headers, |address| address.to_string().starts_with("10."));
        let one = load(&headers).unwrap();
        headers.insert(FORWARDED_FOR, "203.0.113.7, 10.0.0.2".parse().unwrap());
        assert!(Arc::ptr_eq(&one, &load(&headers).unwrap()));
    }
}
