//! Prevents web pages from sending requests to a door through a user's browser.
//!
//! A page can send requests to any address that the browser reaches, including a loopback door. The browser then names
//! the page's site in `Origin`: a request with an origin that is not configured is rejected. A page whose own name
//! resolves to this host (DNS rebinding) has the same origin as the door, and its requests carry its name as `Host`: a
//! loopback door rejects a host that is neither a loopback name nor configured. Clients other than browsers send no
//! `Origin`.

use http::{HeaderMap, Uri, header, uri::Authority};
use littoral_api::code;
use serde::Deserialize;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// `origins`: web sites whose pages may use a door, as `https://console.example.org`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Origins(Vec<String>);

/// `hosts`: names under which a loopback door is reached besides loopback names, as `features.example.org`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Hosts(Vec<String>);

/// A setting that is not an origin or not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is not an origin.
    #[error(
        "'{0}' is not an origin; write a scheme and a host, with a port if it is not the scheme's, as \"https://console.example.org\""
    )]
    Origin(String),
    /// It is not a host.
    #[error("'{0}' is not a host name; write it without scheme, port and path, as \"features.example.org\"")]
    Host(String),
}

/// The requests that a door accepts from browsers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Browsers {
    origins: Arc<[String]>,
    /// `None` where the host does not matter.
    hosts: Option<Arc<[String]>>,
    /// The section of the configuration that both are set in.
    section: &'static str,
}

/// Why a request is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The error code.
    pub code: &'static str,
    /// What was wrong and what to do.
    pub message: String,
}

/// The length to which an unknown name is cut before it is repeated.
const SHOWN_CHARS: usize = 100;

impl TryFrom<Vec<String>> for Origins {
    type Error = Invalid;

    fn try_from(texts: Vec<String>) -> Result<Self, Invalid> {
        texts.into_iter().map(|text| origin(&text).ok_or(Invalid::Origin(text))).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Vec<String>> for Hosts {
    type Error = Invalid;

    fn try_from(texts: Vec<String>) -> Result<Self, Invalid> {
        let host = |text: String| match text.parse::<Authority>() {
            Ok(authority) if authority.as_str() == authority.host() => Ok(plain(&text).to_ascii_lowercase()),
            _ => Err(Invalid::Host(text)),
        };
        texts.into_iter().map(host).collect::<Result<_, _>>().map(Self)
    }
}

/// Returns an origin as browsers write it.
fn origin(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let parsed: Authority = authority.parse().ok()?;
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || authority.contains('@') || parsed.host().is_empty() {
        return None;
    }
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    Some(text.strip_suffix(default).unwrap_or(&text).to_owned())
}

impl Browsers {
    /// Creates the rules of a door that listens on `address` and is configured in `section`.
    #[must_use]
    pub fn new(section: &'static str, origins: &Origins, hosts: &Hosts, address: Option<SocketAddr>) -> Self {
        let is_loopback = address.is_some_and(|address| address.ip().to_canonical().is_loopback());
        Self { origins: origins.0.clone().into(), hosts: is_loopback.then(|| hosts.0.clone().into()), section }
    }

    /// Rejects a request that may come from a page that is not allowed to use this door.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Rejected> {
        for value in headers.get_all(header::ORIGIN) {
            let known =
                value.to_str().is_ok_and(|given| self.origins.iter().any(|origin| origin.eq_ignore_ascii_case(given)));
            if !known {
                return Err(self.rejected_origin(&String::from_utf8_lossy(value.as_bytes())));
            }
        }
        let Some(hosts) = &self.hosts else { return Ok(()) };
        // The authority of HTTP/2 and of a request to a proxy. If a request has both, both must be allowed.
        if let Some(authority) = uri.authority()
            && !is_allowed(authority.as_str(), hosts)
        {
            return Err(self.rejected_host(authority.as_str()));
        }
        for value in headers.get_all(header::HOST) {
            if !value.to_str().is_ok_and(|given| is_allowed(given, hosts)) {
                return Err(self.rejected_host(&String::from_utf8_lossy(value.as_bytes())));
            }
        }
        Ok(())
    }

    fn rejected_origin(&self, given: &str) -> Rejected {
        let (given, section) = (shown(given), self.section);
        let message = format!(
            "a web page of '{given}' may not use this door; add that origin to {section}.origins if it should, or send no Origin"
        );
        Rejected { code: code::ORIGIN_NOT_ALLOWED, message }
    }

    fn rejected_host(&self, given: &str) -> Rejected {
        let (given, section) = (shown(given), self.section);
        let message = format!(
            "this door listens on a loopback address and is not known as '{given}'; use localhost, or add the name to {section}.hosts"
        );
        Rejected { code: code::HOST_NOT_ALLOWED, message }
    }
}

/// Returns an unknown text in a form that an answer or a log line can repeat.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).flat_map(char::escape_default).collect()
}

/// Whether a host, with or without a port, is a loopback name or one of `hosts`. An empty one is allowed: no browser
/// sends it.
fn is_allowed(given: &str, hosts: &[String]) -> bool {
    if given.is_empty() {
        return true;
    }
    let Some(host) = without_port(given) else { return false };
    let host = plain(host);
    is_loopback(host) || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

fn without_port(given: &str) -> Option<&str> {
    let end = match given.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => given.find(':').unwrap_or(given.len()),
    };
    let (host, port) = given.split_at_checked(end)?;
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    is_port.then_some(host)
}

/// Returns a host without the brackets of an address and without the final dot of a fully qualified name.
fn plain(host: &str) -> &str {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host)
}

fn is_loopback(host: &str) -> bool {
    const NAME: &str = "localhost";
    let ends_so = |name: &str| {
        host.len()
            .checked_sub(name.len())
            .and_then(|at| host.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(name))
    };
    host.eq_ignore_ascii_case(NAME)
        || ends_so(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(address: &str, origins: &[&str], hosts: &[&str]) -> Browsers {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (origins, hosts) = (texts(origins).try_into().unwrap(), texts(hosts).try_into().unwrap());
        Browsers::new("door", &origins, &hosts, Some(address.parse().unwrap()))
    }

    fn code(door: &Browsers, uri: &str, headers: &[(header::HeaderName, &str)]) -> Option<&'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        door.check(&uri.parse().unwrap(), &map).err().map(|rejected| rejected.code)
    }

    #[test]
    fn every_door_rejects_every_origin_that_is_not_configured() {
        for address in ["127.0.0.1:1", "[::1]:1", "0.0.0.0:1", "192.0.2.1:1"] {
            let door = door(address, &["https://Console.example:443", "http://a.example:8080"], &[]);
            let origin = |given| code(&door, "/push", &[(header::ORIGIN, given)]);
            for fine in ["https://console.example", "http://a.example:8080", "HTTPS://CONSOLE.example"] {
                assert_eq!(origin(fine), None, "{fine}");
            }
            for bad in [
                "null",
                "",
                "http://console.example",
                "https://console.example:8443",
                "https://console.example.evil",
                "http://a.example",
                "http://localhost:1",
                "http://127.0.0.1:1",
                "https://evil.example",
            ] {
                assert_eq!(origin(bad), Some("origin_not_allowed"), "{bad}");
            }
            let two = [(header::ORIGIN, "http://a.example:8080"), (header::ORIGIN, "http://evil")];
            assert_eq!(code(&door, "/push", &two), Some("origin_not_allowed"));
            assert_eq!(code(&door, "/push", &[]), None);
        }
    }

    #[test]
    fn a_loopback_door_accepts_only_loopback_names_and_configured_ones() {
        let door = door("127.0.0.1:6566", &[], &["Features.example.org"]);
        let host = |given| code(&door, "/v1/rows", &[(header::HOST, given)]);
        for fine in [
            "localhost",
            "LOCALHOST:6566",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:6566",
            "127.9.9.9",
            "[::1]:6566",
            "[::1]",
            "[::ffff:127.0.0.1]:1",
            "features.example.org",
            "features.example.ORG.:80",
            "",
        ] {
            assert_eq!(host(fine), None, "{fine}");
        }
        for bad in [
            "evil.example",
            "evil.example:6566",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "0.0.0.0:6566",
            "[::]:6566",
            "192.0.2.1",
            "localhost:evil",
            "[::1",
            "[::1]evil",
            "a@localhost",
            "::1",
            "x.features.example.org",
            ".localhos",
        ] {
            assert_eq!(host(bad), Some("host_not_allowed"), "{bad}");
        }
        assert_eq!(code(&door, "http://evil.example/v1/rows", &[]), Some("host_not_allowed"), "HTTP/2");
        assert_eq!(code(&door, "http://localhost:1/v1/rows", &[]), None);
        let mixed = [(header::HOST, "evil.example")];
        assert_eq!(code(&door, "http://localhost/v1/rows", &mixed), Some("host_not_allowed"));
    }

    #[test]
    fn a_door_for_other_hosts_accepts_any_name() {
        for address in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
            assert_eq!(code(&door(address, &[], &[]), "/v1/rows", &[(header::HOST, "edge.example")]), None);
        }
        let mapped = door("[::ffff:127.0.0.1]:1", &[], &[]);
        assert_eq!(code(&mapped, "/", &[(header::HOST, "edge.example")]), Some("host_not_allowed"));
    }

    #[test]
    fn settings_that_no_browser_could_send_are_rejected() {
        for bad in ["*", "null", "console.example", "https://console.example/", "https://", "https://a@b", "://a"] {
            assert!(Origins::try_from(vec![bad.to_owned()]).is_err(), "{bad}");
        }
        for bad in ["https://a.example", "a.example:80", "a.example/x", "*", "", "a@b"] {
            let taken = Hosts::try_from(vec![bad.to_owned()]);
            assert!(taken.is_err() || bad == "*", "{bad}");
        }
    }

    #[test]
    fn a_repeated_name_is_short_and_on_one_line() {
        let message = door("127.0.0.1:1", &[], &[]).rejected_host(&format!("a\nb{}", "x".repeat(5_000))).message;
        assert!(message.contains("'a\\nb") && message.len() < 400, "{message}");
    }
}
