//! The section `[at_rest]`.

use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// `[at_rest]`: whether the files that a node stores are encrypted, and with which keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The file of the key ring: its first key encrypts, and all of its keys decrypt. Default: none; files are plain.
    pub key_ring: Option<PathBuf>,
    /// The name of the environment variable that has the text of the key ring, in place of a file. Default: none.
    pub key_ring_env: Option<String>,
    /// Whether a plain snapshot or tail is rejected. Otherwise it is read and replaced by an encrypted one. Default:
    /// false.
    pub reject_plain: bool,
    /// How often the file of the key ring is checked for changes, in milliseconds. A changed file is read once two
    /// checks found it the same; on SIGHUP it is read immediately. Default: 1000.
    pub reload_ms: u64,
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
        Self { key_ring: None, key_ring_env: None, reject_plain: false, reload_ms: 1_000 }
    }
}

impl Config {
    /// Returns whether files are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.key_ring.is_some() || self.key_ring_env.is_some()
    }

    /// Returns the values that are out of bounds or contradict each other.
    #[must_use]
    pub fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: &str| problems.push(Invalid { key, reason: reason.to_owned() });
        if self.key_ring.is_some() && self.key_ring_env.is_some() {
            invalid("key_ring_env", "cannot be used with 'key_ring'; remove one of them");
        }
        if self.key_ring_env.as_ref().is_some_and(|name| name.is_empty() || name.contains(['=', '\0'])) {
            invalid("key_ring_env", "is not the name of an environment variable; write a name such as \"KEY_RING\"");
        }
        if self.reject_plain && !self.is_on() {
            invalid("reject_plain", "needs 'key_ring' or 'key_ring_env'; without keys all files are plain");
        }
        if self.reload_ms == 0 {
            invalid("reload_ms", "is 0; use at least 1");
        }
        problems
    }

    pub(crate) fn reload_every(&self) -> Duration {
        Duration::from_millis(self.reload_ms.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_named_by_their_key() {
        let keys = |config: &Config| config.problems().into_iter().map(|problem| problem.key).collect::<Vec<_>>();
        assert!(keys(&Config::default()).is_empty() && !Config::default().is_on());
        let file = Config { key_ring: Some("keys".into()), ..Config::default() };
        assert!(file.is_on() && keys(&Config { reject_plain: true, ..file.clone() }).is_empty());
        assert_eq!(keys(&Config { key_ring_env: Some("KEYS".to_owned()), ..file }), ["key_ring_env"]);
        assert_eq!(keys(&Config { key_ring_env: Some("A=B".to_owned()), ..Config::default() }), ["key_ring_env"]);
        assert_eq!(
            keys(&Config { reject_plain: true, reload_ms: 0, ..Config::default() }),
            ["reject_plain", "reload_ms"]
        );
    }
}
