//! `[traces]`.

use littoral_runtime::bounds::OutOfBounds;
use reqwest::Url;
use serde::Deserialize;
use std::{net::IpAddr, path::PathBuf};

/// The path of traces at a collector, as OTLP defines it.
const PATH: &str = "/v1/traces";

/// `[traces]`: which requests are traced, and where their spans are sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The collector's address for OTLP over HTTP, as "http://127.0.0.1:4318"; "/v1/traces" is appended. Without it,
    /// nothing is traced.
    pub endpoint: Option<String>,
    /// The ratio of the requests that are traced, from 0 to 1. A trusted client decides for its own requests.
    pub sample: f64,
    /// A PEM file of the certificates that the collector's certificate must be signed by. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// A file of headers to send to the collector, as "NAME: VALUE" lines. It is read for each export.
    pub headers_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { endpoint: None, sample: 0.01, ca_file: None, headers_file: None }
    }
}

impl Config {
    /// Returns the values that cannot be used.
    #[must_use]
    pub fn problems(&self) -> Vec<OutOfBounds> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: String| problems.push(OutOfBounds { key, reason });
        if !(0.0..=1.0).contains(&self.sample) {
            invalid(
                "sample",
                format!("is {}, and must be from 0 to 1; 0.01 traces one request in a hundred", self.sample),
            );
        }
        let needs_endpoint = "needs 'endpoint'; set that, or remove this key";
        match &self.endpoint {
            Some(endpoint) => match url(endpoint) {
                Ok(url) if self.headers_file.is_some() && !is_private(&url) => {
                    let reason = "is sent in plain text to 'endpoint'; use an https address, or remove this key";
                    invalid("headers_file", reason.to_owned());
                }
                Ok(_) => {}
                Err(reason) => invalid("endpoint", reason),
            },
            None => {
                for (key, is_set) in
                    [("ca_file", self.ca_file.is_some()), ("headers_file", self.headers_file.is_some())]
                {
                    if is_set {
                        invalid(key, needs_endpoint.to_owned());
                    }
                }
            }
        }
        problems
    }
}

/// Returns the URL to which spans are sent.
pub(crate) fn url(endpoint: &str) -> Result<Url, String> {
    let example = "write it as http://HOST:4318";
    let mut url = Url::parse(endpoint).map_err(|error| format!("is not a URL ({error}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().unwrap_or_default().is_empty() {
        return Err(format!("is neither an http nor an https URL of a host; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password, which logs would show; use 'headers_file'".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("has a query or a fragment; {example}"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with(PATH) {
        return Err(format!("ends with {PATH}, which is appended to it; leave that out"));
    }
    url.set_path(&(path + PATH));
    Ok(url)
}

/// Whether nobody else can read what is sent to a URL.
fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    url.scheme() == "https" || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        toml::from_str::<Config>(text).unwrap().problems().into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn the_path_is_appended_to_an_endpoint() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example.org/", "https://otlp.example.org/v1/traces"),
            ("https://example.org/otlp", "https://example.org/otlp/v1/traces"),
        ] {
            assert_eq!(url(endpoint).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn traces_are_off_by_default_and_every_wrong_value_is_named_with_its_remedy() {
        assert_eq!(Config::default().endpoint, None);
        let secret = "headers_file = \"h\"\n";
        for fine in [
            "",
            "endpoint = \"http://collector:4318\"\nsample = 1.0\nca_file = \"ca.pem\"",
            &format!("{secret}endpoint = \"https://collector:4318\""),
            &format!("{secret}endpoint = \"http://[::1]:4318\"\nsample = 0.0"),
        ] {
            assert_eq!(problems(fine), Vec::<String>::new(), "{fine}");
        }
        for (text, expected) in [
            ("sample = 1.5", "sample: is 1.5, and must be from 0 to 1"),
            ("sample = -0.1", "sample: is -0.1"),
            ("sample = nan", "sample: is NaN"),
            ("endpoint = \"collector\"", "endpoint: is not a URL"),
            ("endpoint = \"grpc://collector:4317\"", "endpoint: is neither an http nor an https URL"),
            ("endpoint = \"http://u:p@collector\"", "endpoint: has a user name or a password"),
            ("endpoint = \"http://collector/?a=b\"", "endpoint: has a query"),
            ("endpoint = \"http://collector:4318/v1/traces\"", "endpoint: ends with /v1/traces"),
            ("ca_file = \"ca.pem\"", "ca_file: needs 'endpoint'"),
            (secret, "headers_file: needs 'endpoint'"),
            (&format!("{secret}endpoint = \"http://collector:4318\""), "headers_file: is sent in plain text"),
        ] {
            let found = problems(text);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
        }
        assert!(toml::from_str::<Config>("ratio = 1").is_err());
    }
}
