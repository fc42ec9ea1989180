//! Sends calls and receives their responses: timeouts, bounds, retries.

use crate::{Client, Error, Problem, call::Call};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use littoral_api::headers;
use serde::de::DeserializeOwned;
use std::{error::Error as StdError, time::Duration};

/// The longest pause before a retry.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A response with a status of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Unexpected {
            url: self.url.clone(),
            reason: format!("{error} in '{}'", excerpt(&self.body)),
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    /// Sends a call, retries it if that is safe, and returns the response.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Error> {
        let config = &self.inner.config;
        let mut backoff = Duration::from_millis(config.backoff_ms);
        for attempt in 0.. {
            let error = match self.attempt(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A call that was never sent may always be retried.
            let harmless = call.idempotent || matches!(error, Error::Connect { .. });
            if attempt >= config.retries_max || !harmless || !error.is_transient() {
                return Err(error);
            }
            tracing::debug!(%error, attempt, path = call.path, "retrying a call");
            tokio::time::sleep(backoff.min(BACKOFF_MAX)).await;
            backoff = backoff.saturating_mul(2);
        }
        Err(Error::Request("no attempt was made".to_owned()))
    }

    pub(crate) async fn attempt(&self, call: &Call) -> Result<Answer, Error> {
        let url = format!("{}{}", self.url(), call.path);
        let timeout_ms = self.inner.config.timeout_ms.max(1);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), self.exchange(call, &url)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { url, after_ms: timeout_ms }),
        }
    }

    async fn exchange(&self, call: &Call, url: &str) -> Result<Answer, Error> {
        let mut request = Request::builder().method(call.method.clone()).uri(url);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.inner.config.token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.token()));
            let mut value =
                value.map_err(|_| Error::Request("the token contains characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(project) = &self.inner.config.project {
            request = request.header(headers::PROJECT, project.as_str());
        }
        let request = request.body(Full::new(call.body.clone())).map_err(|error| Error::Request(error.to_string()))?;
        let response = self.inner.pool.request(request).await.map_err(|error| {
            let reason = root_cause(&error);
            if error.is_connect() {
                Error::Connect { url: url.to_owned(), base: self.url().to_owned(), reason }
            } else {
                Error::Transport { url: url.to_owned(), reason }
            }
        })?;
        let (parts, body) = response.into_parts();
        let max = self.inner.config.answer_bytes_max;
        let body = Limited::new(body, max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Error::TooLarge { url: url.to_owned(), max }
            } else {
                Error::Transport { url: url.to_owned(), reason: root_cause(error.as_ref()) }
            }
        })?;
        let body = body.to_bytes();
        if parts.status.is_success() {
            return Ok(Answer { url: url.to_owned(), headers: parts.headers, body });
        }
        Err(Error::Rejected(problem(parts.status, &body)))
    }
}

/// Returns the error in a response. The text of another server (a proxy, Feast's door) becomes the detail.
fn problem(status: StatusCode, body: &[u8]) -> Problem {
    let mut problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    if problem.detail.is_empty() && problem.title.is_empty() {
        problem.detail = excerpt(body);
    }
    problem.status = status.as_u16();
    if problem.title.is_empty() {
        problem.title = status.canonical_reason().unwrap_or_default().to_owned();
    }
    problem
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(400)]).trim().chars().take(200).collect()
}

/// Returns the innermost error, as the outer ones have no details.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    if let Some(explained) = littoral_tls::explain_source(error) {
        return explained;
    }
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
