//! A plain HTTP client: the reads and writes of the demo and of drills do not use Littoral's own client.

use crate::failure::Failure;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::time::Duration;

/// The largest response body that is accepted.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long a response may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// A client that reuses its connections.
#[derive(Clone)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

/// A response.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Http {
    /// Returns a client without connections.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn get(&self, url: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, url, &[], None).await
    }

    /// Sends JSON by POST.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer, Failure> {
        self.send(Method::POST, url, headers, Some(body)).await
    }

    /// Sends JSON by PUT.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn put(&self, url: &str, body: &Value) -> Result<Answer, Failure> {
        self.send(Method::PUT, url, &[], Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::unreachable(format!("{url}: {error}"));
        let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(&error))?;
        let answered = async {
            let response = self.0.request(request).await.map_err(|error| failed(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| failed(&error))?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        tokio::time::timeout(ANSWER_TIME_MAX, answered).await.map_err(|_| failed(&"no response in time"))?
    }
}

impl Answer {
    /// Returns a header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as JSON, when the status is 2xx.
    ///
    /// # Errors
    /// When the status is another, with the body; or when the body is not JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        if !self.status.is_success() {
            return Err(Failure::refused(format!("answered {}: {}", self.status, self.text())));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::refused(format!("the response is not JSON ({error}): {}", self.text())))
    }

    /// Returns the beginning of the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(400).collect()
    }
}
