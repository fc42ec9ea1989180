//! The check that a node does not listen beyond loopback without protection.

use crate::failure::Failure;
use std::net::SocketAddr;

/// A listener of the node.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// The setting that names its address.
    pub key: &'static str,
    /// Its address.
    pub address: SocketAddr,
    /// Whether clients send requests to it. Peers need no further authentication than TLS.
    pub has_clients: bool,
}

impl Listener {
    /// Returns a listener of clients, if it is configured.
    pub fn of_clients(key: &'static str, address: impl Into<Option<SocketAddr>>) -> Option<Self> {
        address.into().map(|address| Self { key, address, has_clients: true })
    }

    /// Returns a listener of peers, if it is configured.
    pub fn of_peers(key: &'static str, address: impl Into<Option<SocketAddr>>) -> Option<Self> {
        address.into().map(|address| Self { key, address, has_clients: false })
    }
}

/// What protects the node's listeners.
#[derive(Clone, Copy, Debug)]
pub struct Protection {
    /// Whether connections use TLS.
    pub tls: bool,
    /// Whether clients are authenticated: by the node, or at a router by the doors.
    pub auth: bool,
    /// Whether the command line has `--insecure`.
    pub insecure: bool,
}

/// Checks that every listener is on loopback or protected. Returns whether one is exposed, as `--insecure` allows.
///
/// # Errors
/// [`Failure`] with the remedies, if a listener is exposed without `--insecure`.
pub fn exposure(listeners: &[Option<Listener>], protection: Protection) -> Result<bool, Failure> {
    let Protection { tls, auth, insecure } = protection;
    let is_protected = |listener: &Listener| tls && (auth || !listener.has_clients);
    let exposed = listeners.iter().flatten().find(|it| !is_loopback(it.address) && !is_protected(it));
    metrics::gauge!("littoral_insecure").set(if insecure && exposed.is_some() { 1.0 } else { 0.0 });
    let Some(Listener { key, address, has_clients }) = exposed else { return Ok(false) };
    if insecure {
        tracing::warn!(key, %address, tls, auth, "--insecure: every host that reaches this listener can use it; configure [tls] and [auth]");
        return Ok(true);
    }
    let (lacks, sections) = match (tls, *has_clients && !auth) {
        (true, _) => ("authentication", "[auth] (`littoral token` makes tokens)"),
        (false, true) => ("TLS and authentication", "[tls] (`littoral certs init` makes certificates) and [auth]"),
        (false, false) => ("TLS", "[tls] (`littoral certs init` makes certificates)"),
    };
    Err(Failure::usage(format!(
        "{key} = {address} is beyond loopback, and this node has no {lacks}, so every host that reaches it could read and \
         write everything; set '{key}' to a loopback address such as 127.0.0.1:{port}, or configure {sections}, or start with \
         --insecure on a network that you trust",
        port = address.port()
    )))
}

/// Returns whether only this host reaches an address.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Protection = Protection { tls: false, auth: false, insecure: false };

    fn door(address: &str) -> Option<Listener> {
        Listener::of_clients("listen", address.parse::<SocketAddr>().unwrap())
    }

    fn peers(address: &str) -> Option<Listener> {
        Listener::of_peers("peer_listen", address.parse::<SocketAddr>().unwrap())
    }

    fn error(listener: Option<Listener>, protection: Protection) -> String {
        exposure(&[door("127.0.0.1:1"), None, listener], protection).unwrap_err().to_string()
    }

    #[test]
    fn an_unprotected_listener_beyond_loopback_is_rejected_with_three_ways_out() {
        for address in ["0.0.0.0:7071", "[::]:7071", "192.0.2.1:7071", "[::ffff:10.0.0.1]:7071"] {
            let text = error(peers(address), OPEN);
            for way in ["peer_listen", address, "127.0.0.1:7071", "[tls]", "--insecure"] {
                assert!(text.contains(way), "{way}: {text}");
            }
            exposure(&[peers(address)], Protection { tls: true, ..OPEN }).unwrap();
            assert!(exposure(&[peers(address)], Protection { insecure: true, ..OPEN }).unwrap());
        }
    }

    #[test]
    fn a_door_beyond_loopback_needs_tls_and_authentication() {
        let address = "0.0.0.0:6566";
        assert!(error(door(address), OPEN).contains("no TLS and authentication"));
        assert!(error(door(address), Protection { auth: true, ..OPEN }).contains("no TLS, so"));
        let text = error(door(address), Protection { tls: true, ..OPEN });
        assert!(text.contains("no authentication, so") && text.contains("configure [auth]"), "{text}");
        assert!(!exposure(&[door(address)], Protection { tls: true, auth: true, insecure: true }).unwrap());
        for (tls, auth) in [(false, false), (true, false), (false, true)] {
            assert!(exposure(&[door(address)], Protection { tls, auth, insecure: true }).unwrap());
        }
    }

    #[test]
    fn loopback_needs_no_protection() {
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!exposure(&[door(address), peers(address)], Protection { insecure: true, ..OPEN }).unwrap());
            assert!(!exposure(&[door(address), peers(address)], OPEN).unwrap());
        }
    }
}
