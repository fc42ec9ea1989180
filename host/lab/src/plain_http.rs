//! An HTTP client: the reads and writes of the demo and of drills do not use Littoral's own client.

use crate::failure::Failure;
use crate::target;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use littoral_tls::{client_config, untrusting_client_config};
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The largest response body that is accepted.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long a response may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Connections that are reused.
type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that reuses its connections, and that trusts the roots of the local cluster as they are at the moment.
#[derive(Clone, Default)]
pub struct Http(Arc<Mutex<Option<Connected>>>);

struct Connected {
    pool: Pool,
    /// When the roots were written.
    trusted: Option<SystemTime>,
}

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
        Self::default()
    }

    /// Returns the connections, or new ones once the roots have been replaced.
    fn pool(&self) -> Result<Pool, Failure> {
        let (mut connected, trusted) = (self.0.lock(), trusted());
        if let Some(connected) = connected.as_ref().filter(|connected| connected.trusted == trusted) {
            return Ok(connected.pool.clone());
        }
        let pool = pool()?;
        *connected = Some(Connected { pool: pool.clone(), trusted });
        Ok(pool)
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
            let response = self.pool()?.request(request).await.map_err(|error| failed(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| failed(&error))?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        tokio::time::timeout(ANSWER_TIME_MAX, answered).await.map_err(|_| failed(&"no response in time"))?
    }
}

fn trusted() -> Option<SystemTime> {
    target::files().ca.and_then(|file| std::fs::metadata(file).ok()?.modified().ok())
}

fn pool() -> Result<Pool, Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let files = target::files();
    let tls = if files.ca.is_some() { client_config(&files) } else { untrusting_client_config() };
    let tls = tls.map_err(Failure::rejected)?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
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
            return Err(Failure::rejected(format!("answered {}: {}", self.status, self.text())));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::rejected(format!("the response is not JSON ({error}): {}", self.text())))
    }

    /// Returns the beginning of the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(400).collect()
    }
}
