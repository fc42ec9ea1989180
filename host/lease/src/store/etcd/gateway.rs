//! Etcd's HTTP gateway: every server of etcd 3.4 and later accepts calls as JSON besides gRPC.

use crate::store::open::tls;
use reqwest::{Client, Url, header::CONTENT_TYPE};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// The longest response that is read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// Why the endpoints are invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEndpoints {
    /// There is no endpoint.
    #[error("etcd: no endpoint; name at least one, such as http://127.0.0.1:2379")]
    None,
    /// An endpoint is not a URL.
    #[error("etcd endpoint '{0}': {1}; write it like http://127.0.0.1:2379")]
    Form(String, String),
    /// The HTTP client cannot be created.
    #[error("etcd: the HTTP client cannot be created: {0}")]
    Client(#[from] reqwest::Error),
}

/// The servers of one etcd cluster.
pub(super) struct Gateway {
    client: Client,
    endpoints: Vec<Url>,
    /// The index of the server that answered last.
    preferred: AtomicUsize,
}

impl Gateway {
    pub(super) fn new(endpoints: &[String], timeout: Duration) -> Result<Self, InvalidEndpoints> {
        let parse = |text: &String| -> Result<Url, InvalidEndpoints> {
            let form = |why: String| InvalidEndpoints::Form(text.clone(), why);
            let url = Url::parse(text).map_err(|error| form(error.to_string()))?;
            match url.scheme() {
                "http" | "https" if url.has_host() => url.join("/v3/").map_err(|error| form(error.to_string())),
                _ => Err(form("it is not http or https".into())),
            }
        };
        let endpoints = endpoints.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(InvalidEndpoints::None);
        }
        tls();
        let client = Client::builder().timeout(timeout).connect_timeout(timeout).no_proxy().build()?;
        Ok(Self { client, endpoints, preferred: AtomicUsize::new(0) })
    }

    /// Calls a method at the server that answered last, and then at the others in turn if it fails.
    pub(super) async fn call(&self, method: &str, request: &Value) -> Result<Value, String> {
        let first = self.preferred.load(Relaxed);
        let mut failed = String::new();
        for turn in 0..self.endpoints.len() {
            let index = (first + turn) % self.endpoints.len();
            match self.call_at(&self.endpoints[index], method, request).await {
                Ok(answer) => {
                    self.preferred.store(index, Relaxed);
                    return Ok(answer);
                }
                Err(error) => failed = format!("{method}: {error}"),
            }
            // The caller may stop waiting before all servers were tried; the next call then begins with the next one.
            self.preferred.store(index + 1, Relaxed);
        }
        Err(failed)
    }

    async fn call_at(&self, endpoint: &Url, method: &str, request: &Value) -> Result<Value, String> {
        let url = endpoint.join(method).map_err(|error| error.to_string())?;
        let body = request.to_string();
        let answer = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await;
        let mut answer = answer.map_err(|error| reason(&error))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| reason(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MAX {
                return Err(format!("its response is longer than {ANSWER_MAX} bytes"));
            }
        }
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Err(format!("{status}: {}", text.trim()));
        }
        serde_json::from_slice(&body).map_err(|error| format!("its response is not JSON: {error}"))
    }
}

/// Returns the root cause, because the outermost error only states that the request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_endpoints_are_named() {
        let error = |endpoints: &[&str]| {
            let endpoints: Vec<String> = endpoints.iter().map(|text| (*text).to_owned()).collect();
            Gateway::new(&endpoints, Duration::from_secs(1)).err().unwrap().to_string()
        };
        assert!(error(&[]).contains("no endpoint"));
        assert!(error(&["http://127.0.0.1:1", "127.0.0.1:2379"]).contains("'127.0.0.1:2379'"));
        assert!(error(&["ftp://host"]).contains("not http"));
    }
}
