//! Sends spans to a collector in batches.

use crate::{
    config::{self, Config},
    headers,
    otlp::{self, Node},
};
use littoral_runtime::{
    Occasional,
    trace::{Record, Spans},
};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceResponse, resource::v1::Resource};
use prost::Message as _;
use reqwest::{
    Certificate, Client, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use std::{path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// The number of spans in one request.
const BATCH_MAX: usize = 512;

/// How long a batch waits for further spans.
const GATHER: Duration = Duration::from_secs(1);

/// How long one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// The pause after a request that failed. It doubles after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a batch is sent again before it is dropped.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How long the spans that are left may take when the process stops.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Sends spans to a collector.
pub struct Exporter {
    client: Client,
    url: Url,
    headers_file: Option<PathBuf>,
    resource: Resource,
    failures: Occasional,
}

/// A batch of spans, encoded.
struct Batch {
    spans: u64,
    body: Vec<u8>,
}

/// Why a batch was not accepted.
#[derive(Debug)]
struct Failed {
    reason: String,
    /// Whether the same batch may be accepted later, and the pause that the collector demands.
    retry: Option<Duration>,
}

impl Exporter {
    /// Creates the exporter of a node; `None` if the configuration names no collector.
    ///
    /// # Errors
    /// If a file or the endpoint cannot be used.
    pub fn new(config: &Config, node: &Node) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let url = config::url(endpoint).map_err(|reason| format!("'endpoint' {reason}"))?;
        // Fails if the process has a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().timeout(REQUEST_MAX).redirect(Policy::none()).no_proxy();
        if let Some(path) = &config.ca_file {
            let failed =
                |error: String| format!("'ca_file' {}: {error}; name a PEM file of certificates", path.display());
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(cause(&error)))?;
            if certificates.is_empty() {
                return Err(failed("it contains no certificate".to_owned()));
            }
            client = client.tls_certs_only(certificates);
        }
        if let Some(path) = &config.headers_file {
            let failed = |error: String| format!("'headers_file' {}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            headers::parse(&text).map_err(failed)?;
        }
        let client = client.build().map_err(|error| format!("'endpoint': {}", cause(&error)))?;
        let (headers_file, resource) = (config.headers_file.clone(), node.resource());
        Ok(Some(Self { client, url, headers_file, resource, failures: Occasional::default() }))
    }

    /// Sends spans until `stop`, then those that are left, for a bounded time.
    pub async fn run(self, mut spans: Spans, stop: CancellationToken) {
        let mut records = Vec::with_capacity(BATCH_MAX);
        let mut unsent = None;
        while stop.run_until_cancelled(gather(&mut spans, &mut records)).await.is_some() {
            let batch = self.batch(&mut records);
            if stop.run_until_cancelled(self.deliver(&batch)).await.is_none() {
                unsent = Some(batch);
                break;
            }
        }
        self.flush(unsent, records, spans).await;
    }

    fn batch(&self, records: &mut Vec<Record>) -> Batch {
        Batch { spans: records.len() as u64, body: otlp::encode(&self.resource, records.drain(..)) }
    }

    /// Sends what is left. Drops what is not accepted in time.
    async fn flush(&self, unsent: Option<Batch>, mut records: Vec<Record>, mut spans: Spans) {
        let until = Instant::now() + FLUSH_MAX;
        let mut next = unsent;
        loop {
            let batch = match next.take() {
                Some(batch) => batch,
                None => {
                    while records.len() < BATCH_MAX
                        && let Ok(record) = spans.try_recv()
                    {
                        records.push(record);
                    }
                    if records.is_empty() {
                        return;
                    }
                    self.batch(&mut records)
                }
            };
            match timeout_at(until, self.send(&batch)).await {
                Ok(Ok(rejected)) => accepted(&batch, rejected),
                _ => dropped("stopped", batch.spans),
            }
        }
    }

    /// Sends a batch until it is accepted or has failed for good.
    async fn deliver(&self, batch: &Batch) {
        let (began, mut pause) = (Instant::now(), PAUSE_MIN);
        loop {
            let Failed { reason, retry } = match self.send(batch).await {
                Ok(rejected) => return accepted(batch, rejected),
                Err(failed) => failed,
            };
            let wait = retry.map(|demanded| demanded.clamp(pause, PAUSE_MAX.max(pause)));
            let wait = wait.filter(|wait| began.elapsed() + *wait < RETRY_MAX);
            if self.failures.take_turn() {
                let effect = if wait.is_some() { "they are sent again" } else { "they are dropped" };
                tracing::warn!(url = %self.url, spans = batch.spans, reason, "the collector of traces did not accept spans; {effect}");
            }
            match wait {
                Some(wait) => sleep(wait).await,
                None => return dropped(if retry.is_some() { "unreachable" } else { "rejected" }, batch.spans),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends a batch once. Returns the number of spans that the collector rejected.
    async fn send(&self, batch: &Batch) -> Result<u64, Failed> {
        let request = self.client.post(self.url.clone()).headers(self.headers().await?);
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(batch.body.clone());
        let mut response = request.send().await.map_err(|error| Failed::unreachable(cause(&error)))?;
        let status = response.status();
        if !status.is_success() {
            let is_temporary = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            let retry = is_temporary.then(|| retry_after(response.headers()));
            let hint = match status {
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                    "; check that traces.endpoint is a collector's address for OTLP over HTTP"
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check traces.headers_file",
                status if status.is_redirection() => {
                    "; redirects are not followed: set traces.endpoint to the other address"
                }
                _ => "",
            };
            return Err(Failed { reason: format!("it answered with status {status}{hint}"), retry });
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Failed::unreachable(cause(&error)))? {
            if answer.len() + chunk.len() > ANSWER_MAX {
                return Err(Failed::rejected(format!("its answer is longer than {ANSWER_MAX} bytes")));
            }
            answer.extend_from_slice(&chunk);
        }
        if answer.trim_ascii_start().starts_with(b"<") {
            let reason = "it answered with HTML; check that traces.endpoint is a collector's address";
            return Err(Failed::rejected(reason.to_owned()));
        }
        // Whatever else it answered, it has accepted the request.
        let partial = ExportTraceServiceResponse::decode(&answer[..]).ok().and_then(|answer| answer.partial_success);
        let rejected = partial.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0).min(batch.spans))
    }

    /// Reads the headers again, so that a secret can be replaced while the process runs.
    async fn headers(&self) -> Result<HeaderMap, Failed> {
        let Some(path) = &self.headers_file else { return Ok(HeaderMap::new()) };
        let failed = |error: String| Failed::unreachable(format!("traces.headers_file {}: {error}", path.display()));
        let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))?;
        headers::parse(&text).map_err(failed)
    }
}

impl Failed {
    fn unreachable(reason: String) -> Self {
        Self { reason, retry: Some(Duration::ZERO) }
    }

    fn rejected(reason: String) -> Self {
        Self { reason, retry: None }
    }
}

/// Waits for a span, and then a moment for further ones.
async fn gather(spans: &mut Spans, records: &mut Vec<Record>) {
    if spans.recv_many(records, BATCH_MAX).await == 0 {
        // The recorder has ended; the process stops.
        std::future::pending::<()>().await;
    }
    let until = Instant::now() + GATHER;
    while records.len() < BATCH_MAX
        && let Ok(1..) = timeout_at(until, spans.recv_many(records, BATCH_MAX - records.len())).await
    {}
}

fn accepted(batch: &Batch, rejected: u64) {
    metrics::counter!("littoral_trace_spans_exported_total").increment(batch.spans - rejected);
    if rejected > 0 {
        dropped("rejected", rejected);
    }
}

fn dropped(reason: &'static str, spans: u64) {
    metrics::counter!("littoral_trace_spans_dropped_total", "reason" => reason).increment(spans);
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// Returns the innermost cause: "error sending request" explains nothing. It does not contain the request's headers.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("it did not answer within {} s", REQUEST_MAX.as_secs());
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests;
