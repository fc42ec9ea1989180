//! Verifies credentials and decides what their callers may do. Decisions are kept by the credential's hash.

use crate::{
    access::{Access, Identity, Kind},
    config::Config,
    error::Rejected,
    files::{Files, Rules},
    issuer::Issuer,
    jwt,
    scope::shown,
    tokens::Hash,
};
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use littoral_runtime::{WatchedFile, live::Live, shares::Load};
use moka::sync::Cache;
use std::{sync::Arc, time::Duration};

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Verifies credentials. Reloads files and fetches keys only while it [runs](Authenticator::run).
pub struct Authenticator {
    config: Config,
    rules: ArcSwap<Rules>,
    /// The files as they were when they were first read.
    files: Vec<WatchedFile>,
    issuers: Vec<Issuer>,
    decisions: Cache<(Kind, Hash), Decision>,
    /// What identities use of the bounds that clients share, by kind, issuer and name.
    loads: Live<(Kind, String, String), Load>,
}

/// An access, and the generation of the rules that it was decided with.
#[derive(Clone)]
struct Decision {
    access: Arc<Access>,
    generation: u64,
}

/// A verified certificate of a client.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// Its name: its first URI, otherwise its first DNS name, otherwise its common name.
    pub name: &'a str,
    /// The SHA-256 hash of its DER form.
    pub fingerprint: [u8; 32],
    /// When it expires, in seconds since 1970.
    pub not_after_s: u64,
}

/// Why authentication does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authentication: {0}")]
pub struct StartError(String);

impl Authenticator {
    /// Creates an authenticator: reads its files.
    ///
    /// # Errors
    /// What is wrong with a file, with its line and the remedy.
    pub fn new(config: Config) -> Result<Self, StartError> {
        // Before the files are read: a change in between is noticed later.
        let watched = [&config.tokens, &config.policy].into_iter().flatten().cloned();
        let watched = watched.map(WatchedFile::about_to_be_read).collect();
        let rules = files(&config).read(0).map_err(StartError)?;
        let issuers = config.issuers.iter().cloned().map(Issuer::new).collect::<Result<_, _>>().map_err(StartError)?;
        let decisions = Cache::new(config.decisions_max);
        Ok(Self {
            config,
            rules: ArcSwap::from_pointee(rules),
            files: watched,
            issuers,
            decisions,
            loads: Live::default(),
        })
    }

    /// Reloads files when they change, and fetches the keys of issuers. Never returns.
    pub async fn run(&self) {
        futures_util::future::join(self.reload(), join_all(self.issuers.iter().map(Issuer::run))).await;
    }

    async fn reload(&self) {
        let validity = metrics::gauge!("littoral_auth_rules_valid");
        validity.set(1.0);
        let mut watched = self.files.clone();
        let mut interval = tokio::time::interval(Duration::from_millis(self.config.reload_ms.max(1)));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let config = self.config.clone();
            let generation = self.rules.load().generation + 1;
            let checked = tokio::task::spawn_blocking(move || {
                let changed = WatchedFile::take_any_change(&mut watched);
                (watched, changed.then(|| files(&config).read(generation)))
            });
            // Reading does not panic; a runtime that shuts down ends this task.
            let Ok((checked, read)) = checked.await else { return };
            watched = checked;
            let Some(read) = read else { continue };
            let valid = read.is_ok();
            match read {
                Ok(rules) => {
                    tracing::info!(generation, "reloaded the tokens and the policy");
                    self.rules.store(Arc::new(rules));
                    self.decisions.invalidate_all();
                }
                Err(error) => {
                    tracing::error!(error, "the tokens or the policy cannot be used; the last valid ones stay in force")
                }
            }
            validity.set(f64::from(valid));
        }
    }

    /// Returns the access of a token that was verified before. Never blocks.
    #[must_use]
    pub fn known(&self, token: &str, now_s: u64) -> Option<Arc<Access>> {
        self.decided(&(Kind::Token, Hash::of(token)), now_s)
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`Rejected`].
    pub async fn verify(&self, token: &str, now_s: u64) -> Result<Arc<Access>, Rejected> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::TooLong(TOKEN_BYTES_MAX));
        }
        let key = (Kind::Token, Hash::of(token));
        if let Some(access) = self.decided(&key, now_s) {
            return Ok(access);
        }
        let rules = self.rules.load_full();
        let identity = match jwt::is_jwt(token) {
            true => self.verify_jwt(token, now_s).await?,
            false => rules.tokens.verify(&key.1, now_s)?,
        };
        Ok(self.decide(key, &identity, &rules))
    }

    /// Decides about the verified certificate of a client.
    ///
    /// # Errors
    /// [`Rejected::Certificate`] if certificates are not accepted as credentials.
    pub fn certificate(&self, certificate: &Certificate<'_>, now_s: u64) -> Result<Arc<Access>, Rejected> {
        if !self.config.client_certificates {
            return Err(Rejected::Certificate);
        }
        let key = (Kind::Certificate, Hash(certificate.fingerprint));
        if let Some(access) = self.decided(&key, now_s) {
            return Ok(access);
        }
        if now_s >= certificate.not_after_s {
            return Err(Rejected::Expired(now_s - certificate.not_after_s));
        }
        let identity = Identity {
            kind: Kind::Certificate,
            subject: certificate.name.to_owned(),
            issuer: String::new(),
            roles: Vec::new(),
            grants: Vec::new(),
            project: None,
            expires_s: certificate.not_after_s,
        };
        Ok(self.decide(key, &identity, &self.rules.load_full()))
    }

    async fn verify_jwt(&self, token: &str, now_s: u64) -> Result<Identity, Rejected> {
        let parsed = jwt::parse(token)?;
        let named = parsed.issuer()?;
        let issuer = self.issuers.iter().find(|issuer| issuer.config.issuer == named);
        let issuer = issuer.ok_or_else(|| Rejected::Issuer(shown(named)))?;
        let seen = issuer.fetches();
        let verify = || match issuer.keys() {
            Some(keys) => parsed.verify(&issuer.config, &keys, now_s, self.config.clock_skew_s),
            None => Err(Rejected::IssuerUnavailable),
        };
        match verify() {
            Err(Rejected::Key | Rejected::IssuerUnavailable) => {
                issuer.newer(seen).await;
                verify()
            }
            verified => verified,
        }
    }

    fn decided(&self, key: &(Kind, Hash), now_s: u64) -> Option<Arc<Access>> {
        let Decision { access, generation } = self.decisions.get(key)?;
        (now_s < access.expires_s && generation == self.rules.load().generation).then_some(access)
    }

    fn decide(&self, key: (Kind, Hash), identity: &Identity, rules: &Rules) -> Arc<Access> {
        let who = (identity.kind, identity.issuer.clone(), identity.subject.clone());
        let load = self.loads.get(who, Load::default);
        let access = Arc::new(Access::new(identity, rules.policy.grants(identity), load));
        self.decisions.insert(key, Decision { access: access.clone(), generation: rules.generation });
        access
    }
}

fn files(config: &Config) -> Files<'_> {
    Files { tokens: config.tokens.as_deref(), policy: config.policy.as_deref() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_of_an_identity_share_its_load() {
        let config = Config { client_certificates: true, ..Config::default() };
        let authenticator = Authenticator::new(config).unwrap();
        let load = |name, fingerprint| {
            let certificate = Certificate { name, fingerprint: [fingerprint; 32], not_after_s: 9 };
            authenticator.certificate(&certificate, 1).unwrap().load.clone()
        };
        let first = load("a", 1);
        assert!(Arc::ptr_eq(&first, &load("a", 2)) && !Arc::ptr_eq(&first, &load("b", 3)));
        // As after a reload of the policy.
        authenticator.decisions.invalidate_all();
        assert!(Arc::ptr_eq(&first, &load("a", 1)), "a request that runs keeps it");
    }
}
