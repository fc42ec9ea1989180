//! The section `[tls]`.

use crate::Mapping;
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// `[tls]`: the certificate of a node and the roots that it trusts. Without `cert`, the node's listeners and
/// connections are plain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's certificate chain as PEM, its own certificate first. Default: none; TLS is off.
    pub cert: Option<PathBuf>,
    /// The private key as PEM. Default: in the file of `cert`.
    pub key: Option<PathBuf>,
    /// The trusted roots as PEM, one or several. Default: none; required with `cert`.
    pub trust: Option<PathBuf>,
    /// Whether clients must present a certificate at the door. Peers always must. Default: false.
    pub require_client_cert: bool,
    /// How often the files are checked for changes, in milliseconds. A changed file is loaded once two checks found it
    /// the same; on SIGHUP all are loaded immediately. Default: 1000.
    pub reload_ms: u64,
    /// The directory of the private CA, at the one leader that signs renewals. Default: none; renewals are forwarded.
    pub ca: Option<PathBuf>,
    /// Peer addresses of nodes that sign renewals or forward them. Default: the peers that the node's role already has.
    pub renew: Vec<String>,
    /// How often the node queries whether to renew its certificate or roots, in milliseconds. 0: never; something else
    /// replaces the files. Default: 10000.
    pub renew_check_ms: u64,
    /// Maps SPIFFE ids to identities.
    pub spiffe: Vec<Mapping>,
}

/// A value of the section that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            trust: None,
            require_client_cert: false,
            reload_ms: 1_000,
            ca: None,
            renew: Vec::new(),
            renew_check_ms: 10_000,
            spiffe: Vec::new(),
        }
    }
}

impl Config {
    /// Returns whether TLS is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.cert.is_some()
    }

    /// Returns the values that contradict each other. `signs` is whether the node's role may hold the CA.
    #[must_use]
    pub fn problems(&self, signs: bool) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: &str| problems.push(Invalid { key, reason: reason.to_owned() });
        match (&self.cert, &self.trust) {
            (Some(_), None) => {
                invalid("cert", "needs 'trust', the file of the trusted roots; `littoral certs init` writes trust.pem");
            }
            (None, Some(_)) => {
                invalid("trust", "needs 'cert', the node's certificate; `littoral certs issue` writes one")
            }
            (None, None) if self.key.is_some() => invalid("key", "needs 'cert' and 'trust'"),
            (None, None) if self.ca.is_some() => invalid("ca", "needs 'cert' and 'trust'"),
            (None, None) if self.require_client_cert => invalid("require_client_cert", "needs 'cert' and 'trust'"),
            _ => {}
        }
        if self.ca.is_some() && !signs {
            invalid("ca", "only a leader of the catalogue home holds the CA's key; remove it here");
        }
        if self.reload_ms == 0 {
            invalid("reload_ms", "is 0; use at least 1");
        }
        for problem in self.spiffe.iter().filter_map(Mapping::problem) {
            invalid("spiffe", &problem);
        }
        problems
    }

    pub(crate) fn cert_file(&self) -> &Path {
        self.cert.as_deref().unwrap_or(Path::new("(tls.cert)"))
    }

    pub(crate) fn key_file(&self) -> &Path {
        self.key.as_deref().unwrap_or_else(|| self.cert_file())
    }

    pub(crate) fn trust_file(&self) -> &Path {
        self.trust.as_deref().unwrap_or(Path::new("(tls.trust)"))
    }

    /// Returns the files, each once.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let key = self.key.as_deref().filter(|key| *key != self.cert_file());
        [Some(self.cert_file()), key, Some(self.trust_file())].into_iter().flatten()
    }

    pub(crate) fn reload_every(&self) -> Duration {
        Duration::from_millis(self.reload_ms.max(1))
    }

    pub(crate) fn renew_every(&self) -> Option<Duration> {
        (self.renew_check_ms > 0).then(|| Duration::from_millis(self.renew_check_ms))
    }
}
