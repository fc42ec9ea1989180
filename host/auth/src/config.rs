//! The settings of authentication.

use crate::{jwt::Algorithm, trust::Trust};
use littoral_model::url::without_user;
use serde::Deserialize;
use std::path::PathBuf;

/// The settings of authentication. It is on if `tokens`, `issuers` or `client_certificates` is set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The file of static tokens, as `littoral token new` writes it. Reloaded when it changes. Default none.
    pub tokens: Option<PathBuf>,
    /// The policy file: which callers have which scopes. Reloaded when it changes. Default none: a caller has the
    /// scopes that its token contains.
    pub policy: Option<PathBuf>,
    /// OIDC issuers whose tokens are accepted. Default none.
    pub issuers: Vec<IssuerConfig>,
    /// Whether the certificate of a connection is a credential, for requests without a token. Default false.
    pub client_certificates: bool,
    /// How often the files are checked for changes, in milliseconds. A changed file is read once two checks found it
    /// the same. Default 1,000.
    pub reload_ms: u64,
    /// How far the clocks of issuers may differ from this host's, in seconds. Default 60.
    pub clock_skew_s: u64,
    /// The number of decisions about credentials that are kept. Default 10,000.
    pub decisions_max: u64,
    /// The clients that may send the headers `littoral-part` and `littoral-tenant`.
    pub trust: Trust,
}

/// An OIDC issuer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The issuer, exactly as in the claim `iss`, as `https://login.example.org/realms/features`.
    pub issuer: String,
    /// The accepted audiences. A token must be for one of them.
    pub audiences: Vec<String>,
    /// The accepted algorithms. Default RS256 and ES256.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The URL of the issuer's keys. Default: as the issuer's discovery document states.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Certificates of the authorities that may sign the issuer's own certificate, in PEM. Default: those of the
    /// system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A file with a bearer token that is sent when the keys are fetched, as Kubernetes requires. Default none.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// How often the keys are fetched, in seconds. They are also fetched when a token names an unknown key. Default
    /// 300.
    #[serde(default = "refresh_s")]
    pub refresh_s: u64,
    /// The claim with the name of the caller. Default "sub".
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// The claims with roles and groups, as paths, for instance "resource_access.feast-client.roles". Default none.
    #[serde(default)]
    pub roles_claims: Vec<String>,
    /// The claim with grants, as "read:default/driver_*", in a list or separated by spaces. Words of it that are not
    /// grants are ignored. Default none.
    #[serde(default)]
    pub scopes_claim: Option<String>,
    /// The claim with the caller's project. Default none.
    #[serde(default)]
    pub project_claim: Option<String>,
}

fn algorithms() -> Vec<Algorithm> {
    vec![Algorithm::Rs256, Algorithm::Es256]
}

const fn refresh_s() -> u64 {
    300
}

fn subject_claim() -> String {
    "sub".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tokens: None,
            policy: None,
            issuers: Vec::new(),
            client_certificates: false,
            reload_ms: 1_000,
            clock_skew_s: 60,
            decisions_max: 10_000,
            trust: Trust::default(),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth.{key}: {reason}")]
pub struct Invalid {
    /// The key within the section.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// The longest clock skew, in seconds: an expired token is accepted for this long.
const CLOCK_SKEW_S_MAX: u64 = 600;

impl Config {
    /// Returns whether authentication is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.tokens.is_some() || !self.issuers.is_empty() || self.client_certificates
    }

    /// Returns every setting that cannot be used.
    #[must_use]
    pub fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: String| problems.push(Invalid { key, reason });
        if self.policy.is_some() && !self.is_on() {
            invalid("policy", "is set, but authentication is off; set auth.tokens or add [[auth.issuers]]".to_owned());
        }
        if self.reload_ms == 0 {
            invalid("reload_ms", "is 0; use 1 or more".to_owned());
        }
        if self.decisions_max == 0 {
            invalid("decisions_max", "is 0; use 1 or more".to_owned());
        }
        if self.clock_skew_s > CLOCK_SKEW_S_MAX {
            invalid("clock_skew_s", format!("is {}; use at most {CLOCK_SKEW_S_MAX}", self.clock_skew_s));
        }
        for issuer in &self.issuers {
            let mut wrong =
                |reason: &str| invalid("issuers", format!("issuer '{}': {reason}", without_user(&issuer.issuer)));
            if let Err(reason) = check_url(&issuer.issuer) {
                wrong(&format!("'issuer' {reason}"));
            }
            if let Some(Err(reason)) = issuer.jwks_url.as_deref().map(check_url) {
                wrong(&format!("'jwks_url' {reason}"));
            }
            if issuer.audiences.is_empty() {
                wrong("'audiences' is empty; name the audience that tokens for this service have");
            }
            if issuer.algorithms.is_empty() {
                wrong("'algorithms' is empty; list at least one, as RS256");
            }
            if issuer.refresh_s == 0 {
                wrong("'refresh_s' is 0; use 1 or more");
            }
        }
        let mut issuers: Vec<_> = self.issuers.iter().map(|issuer| &issuer.issuer).collect();
        issuers.sort_unstable();
        if issuers.windows(2).any(|pair| pair[0] == pair[1]) {
            invalid("issuers", "two entries have the same 'issuer'; merge them".to_owned());
        }
        problems
    }
}

/// Checks that keys can be fetched safely from a URL: over https, or from this host.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_url(text: &str) -> Result<reqwest::Url, String> {
    let url =
        reqwest::Url::parse(text).map_err(|error| format!("is not a URL ({error}); write it as https://HOST/PATH"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password, which logs would show; remove them".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" if !host.is_empty() => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err("is neither an https URL nor an http URL of this host; use https".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_over_https_or_from_this_host_only() {
        for url in ["https://a.example.org/x", "http://127.0.0.1:8080", "http://[::1]:1/", "http://localhost/"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "https://u:p@a.example.org/",
            "https://u@a.example.org/",
            "http://a.example.org",
            "http://10.0.0.1/",
            "ftp://localhost",
            "a",
            "https://",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_algorithm_that_could_be_forged_is_rejected_with_its_remedy() {
        let load = |algorithm: &str| {
            let text =
                format!("[[issuers]]\nissuer = \"https://a\"\naudiences = [\"x\"]\nalgorithms = [\"{algorithm}\"]\n");
            toml::from_str::<Config>(&text).map_err(|error| error.to_string())
        };
        assert_eq!(load("ES256").unwrap().problems(), []);
        for algorithm in ["none", "HS256"] {
            let error = load(algorithm).unwrap_err();
            assert!(error.contains("use RS256"), "{error}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        let config = Config { policy: Some("p".into()), clock_skew_s: 601, ..Config::default() };
        let keys: Vec<_> = config.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["policy", "clock_skew_s"]);
        let text = "[[issuers]]\nissuer = \"http://idp.example.org\"\naudiences = []\n[[issuers]]\nissuer = \"http://idp.example.org\"\naudiences = [\"a\"]\n";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.problems().len(), 4, "{:?}", config.problems());
    }
}
