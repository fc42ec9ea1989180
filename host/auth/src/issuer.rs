//! Fetches the keys of an issuer, keeps them, and replaces them when they change. No other module opens connections.
//!
//! The last keys that could be fetched stay in use while the issuer cannot be reached. Fetching has bounds on time,
//! size and redirects, because the issuer's host may be slow, gone or another server.

use crate::{
    config::{IssuerConfig, check_url},
    keys::Keys,
};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use reqwest::{Certificate, Client, Url, header, redirect::Policy};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

/// The largest document that is read, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// How long one document may take.
const FETCH_MAX: Duration = Duration::from_secs(5);

/// How long a request waits for newer keys.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The pause between two fetches that requests cause: tokens with invented key ids must not load the issuer.
const PAUSE: Duration = Duration::from_secs(5);

/// The pause after a failure, while there are no keys at all.
const RETRY: Duration = Duration::from_secs(1);

/// An issuer and its keys.
pub struct Issuer {
    /// Its settings.
    pub config: IssuerConfig,
    client: Client,
    keys: ArcSwapOption<Keys>,
    /// A request needs newer keys.
    wanted: Notify,
    /// The number of fetches that have ended.
    fetches: watch::Sender<u64>,
    last: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// Creates an issuer without keys. [`Issuer::run`] fetches them.
    ///
    /// # Errors
    /// If the file of authorities cannot be used.
    pub fn new(config: IssuerConfig) -> Result<Self, String> {
        // Fails if the process has a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().timeout(FETCH_MAX).redirect(Policy::none()).no_proxy();
        if let Some(path) = &config.ca_file {
            let failed = |error: &dyn std::fmt::Display| {
                format!(
                    "'ca_file' of issuer '{}': {}: {error}; name a PEM file of certificates",
                    config.issuer,
                    path.display()
                )
            };
            let pem = std::fs::read(path).map_err(|error| failed(&error))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(&error))?;
            if certificates.is_empty() {
                return Err(failed(&"it contains no certificate"));
            }
            client = client.tls_certs_only(certificates);
        }
        let client = client.build().map_err(|error| format!("issuer '{}': {}", config.issuer, cause(&error)))?;
        let (keys, wanted) = (ArcSwapOption::empty(), Notify::new());
        Ok(Self { config, client, keys, wanted, fetches: watch::Sender::new(0), last: Mutex::new(None) })
    }

    /// Returns the newest keys. `None` if they were never fetched.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// Returns the number of fetches that have ended.
    #[must_use]
    pub fn fetches(&self) -> u64 {
        *self.fetches.borrow()
    }

    /// Waits until more than `seen` fetches have ended, for a bounded time. Returns at once if the last fetch was a
    /// short time ago and no other has ended since the caller read `seen`.
    pub async fn newer(&self, seen: u64) {
        let rests = self.last.lock().is_some_and(|last| last.elapsed() < PAUSE);
        if rests && self.fetches() == seen {
            return;
        }
        let mut fetches = self.fetches.subscribe();
        self.wanted.notify_one();
        let _ = timeout(WAIT_MAX, fetches.wait_for(|fetches| *fetches > seen)).await;
    }

    /// Fetches the keys now, then regularly and when a request needs newer ones. Never returns.
    pub async fn run(&self) {
        let refresh = Duration::from_secs(self.config.refresh_s.max(1));
        loop {
            let issuer = &self.config.issuer;
            let failed = match self.fetch().await {
                Ok(keys) => {
                    let changed = self.keys.load().as_deref() != Some(&keys);
                    self.keys.store(Some(Arc::new(keys)));
                    if changed {
                        tracing::info!(issuer, "fetched new keys of an issuer of tokens");
                    }
                    false
                }
                Err(error) => {
                    let stale = self.keys.load().is_some();
                    let effect = if stale { "the last keys stay in use" } else { "its tokens are rejected until then" };
                    tracing::warn!(issuer, error, "cannot fetch the keys of an issuer of tokens; {effect}");
                    metrics::counter!("littoral_auth_fetch_failures_total", "issuer" => issuer.clone()).increment(1);
                    true
                }
            };
            *self.last.lock() = Some(Instant::now());
            self.fetches.send_modify(|fetches| *fetches += 1);
            if failed && self.keys.load().is_none() {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            let pause = tokio::time::sleep(PAUSE);
            tokio::select! {
                () = tokio::time::sleep(refresh) => {}
                () = async { pause.await; self.wanted.notified().await } => {}
            }
        }
    }

    /// Fetches the keys now, without keeping them.
    ///
    /// # Errors
    /// The address, what is wrong there, and what to check.
    pub async fn fetch(&self) -> Result<Keys, String> {
        let url = match &self.config.jwks_url {
            Some(url) => check_url(url)?,
            None => self.discover().await?,
        };
        let body = self.get(&url).await?;
        Keys::parse(&body).map_err(|error| format!("{url}: {error}; check 'issuer' and 'jwks_url'"))
    }

    async fn discover(&self) -> Result<Url, String> {
        let address = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let url = check_url(&address)?;
        let body = self.get(&url).await?;
        let document: Discovery = serde_json::from_slice(&body).map_err(|error| {
            format!("{url}: it is not a discovery document: {error}; check 'issuer', or set 'jwks_url'")
        })?;
        if document.issuer != self.config.issuer {
            let shown = crate::scope::shown(&document.issuer);
            return Err(format!(
                "{url}: it is the document of issuer '{shown}'; set 'issuer' to that if it is trusted"
            ));
        }
        check_url(&document.jwks_uri).map_err(|reason| format!("{url}: its 'jwks_uri' {reason}"))
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let failed = |reason: String| format!("{url}: {reason}");
        let mut request = self.client.get(url.clone()).header(header::ACCEPT, "application/json");
        if let Some(path) = &self.config.token_file {
            let token = tokio::fs::read_to_string(path).await;
            let token = token.map_err(|error| format!("'token_file' {}: {error}", path.display()))?;
            request = request.bearer_auth(token.trim());
        }
        let mut response = request.send().await.map_err(|error| failed(cause(&error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(failed(format!("it answered with status {status}; redirects are not followed")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(cause(&error)))? {
            if body.len() + chunk.len() > BYTES_MAX {
                return Err(failed(format!("its answer is longer than {BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if body.trim_ascii_start().starts_with(b"<") {
            return Err(failed(
                "it answered with HTML instead of JSON; check that it is the issuer's own address".to_owned(),
            ));
        }
        Ok(body)
    }
}

/// Returns the innermost cause: "error sending request" explains nothing. It does not contain the request's headers.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("it did not answer within {} s", FETCH_MAX.as_secs());
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
