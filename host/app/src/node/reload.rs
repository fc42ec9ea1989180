//! SIGHUP: a node reads its configuration again, applies what can change while it runs, and names what needs a restart.

use crate::config::{Override, Problem, edge, leader, load, router};
use littoral_runtime::logging;
use std::{io, path::PathBuf};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

/// The key of what a node logs.
const LEVEL: &str = "logging.level";

/// What a node can change while it runs.
#[derive(Clone, Debug)]
pub struct Reloadable {
    /// What it logs.
    pub logging: logging::Config,
    /// The bounds of its door. `None` at a router.
    pub door: Option<littoral_doors::Config>,
}

impl From<leader::File> for Reloadable {
    fn from(file: leader::File) -> Self {
        Self { logging: file.logging, door: Some(file.door) }
    }
}

impl From<edge::File> for Reloadable {
    fn from(file: edge::File) -> Self {
        Self { logging: file.logging, door: Some(file.door) }
    }
}

impl From<router::File> for Reloadable {
    fn from(file: router::File) -> Self {
        Self { logging: file.logging, door: None }
    }
}

/// Where a node's configuration came from.
pub struct Source {
    read: Box<dyn Fn() -> Result<(Reloadable, Table), Problem> + Send>,
    /// The settings with which the node starts.
    running: Table,
}

impl Source {
    /// Reads a node's configuration for its start: a file, or the defaults without one, with what overrides it. Returns
    /// it with its source, for later changes.
    ///
    /// # Errors
    /// [`Problem`], the first one found.
    pub fn load<F: load::File + Into<Reloadable>>(
        path: Option<PathBuf>,
        overrides: Vec<Override>,
    ) -> Result<(F, Self), Problem> {
        let (file, running) = load::load_with_table(path.as_deref(), &overrides)?;
        let read = move || {
            let (file, table) = load::load_with_table::<F>(path.as_deref(), &overrides)?;
            Ok((file.into(), table))
        };
        Ok((file, Self { read: Box::new(read), running }))
    }

    /// Reads the configuration again at each SIGHUP, until `stop`. An invalid one changes nothing.
    ///
    /// # Errors
    /// If the system rejects the signal handler.
    pub async fn watch(self, changed: watch::Sender<Option<Reloadable>>, stop: CancellationToken) -> io::Result<()> {
        let mut arrivals = signal(SignalKind::hangup())?;
        let Self { read, mut running } = self;
        while stop.run_until_cancelled(arrivals.recv()).await.flatten().is_some() {
            let (reloadable, table) = match read() {
                Ok(read) => read,
                Err(problem) => {
                    tracing::error!(%problem, "SIGHUP: the configuration is invalid, and the running one stays; certificates are read again");
                    continue;
                }
            };
            logging::set_level(&reloadable.logging.level);
            changed.send_replace(Some(reloadable));
            let (applied, postponed): (Vec<_>, Vec<_>) =
                differences(&running, &table).into_iter().partition(|key| is_reloadable(key));
            if !postponed.is_empty() {
                tracing::warn!(keys = postponed.join(", "), "SIGHUP: these changed settings need a restart");
            }
            tracing::info!(
                applied = applied.join(", "),
                "SIGHUP: the configuration was read again, and the certificates; tokens, policies and topologies are read \
                 whenever their files change"
            );
            // What needs a restart is named again at the next signal.
            running = with_applied(running, &table, &applied);
        }
        Ok(())
    }
}

/// Returns whether a running node applies a change of this key.
fn is_reloadable(key: &str) -> bool {
    key == LEVEL || key.strip_prefix("door.").is_some_and(|key| !littoral_doors::Config::FIXED.contains(&key))
}

/// Returns the keys whose values differ, with their sections.
fn differences(before: &Table, after: &Table) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found.sort_unstable();
    found
}

fn compare(section: &str, before: &Table, after: &Table, found: &mut Vec<String>) {
    let none = Table::new();
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    for key in keys {
        let path = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match (before.get(key), after.get(key)) {
            (Some(Value::Table(before)), Some(Value::Table(after))) => compare(&path, before, after, found),
            (Some(Value::Table(before)), None) => compare(&path, before, &none, found),
            (None, Some(Value::Table(after))) => compare(&path, &none, after, found),
            (before, after) if before != after => found.push(path),
            _ => {}
        }
    }
}

/// Returns the running settings with the values of `read` for the keys that were applied.
fn with_applied(mut running: Table, read: &Table, applied: &[String]) -> Table {
    for key in applied {
        let (section, key) = key.split_once('.').unwrap_or(("", key));
        let value = read.get(section).and_then(|section| section.get(key)).cloned();
        let home = running.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Some(home) = home.as_table_mut() {
            match value {
                Some(value) => home.insert(key.to_owned(), value),
                None => home.remove(key),
            };
        }
    }
    running
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_are_named_with_their_sections() {
        let table = |text: &str| toml::from_str::<Table>(text).unwrap();
        let before = table(
            "listen = 1\n[door]\nread_only = true\nhosts = [\"a\"]\n[auth.trust]\naddresses = []\n[[regions]]\nname = \"us\"",
        );
        let after = table(
            "listen = 2\n[door]\nhosts = [\"a\"]\n[logging]\nlevel = \"warn\"\n[auth.trust]\naddresses = [\"::1\"]",
        );
        let found = differences(&before, &after);
        assert_eq!(found, ["auth.trust.addresses", "door.read_only", "listen", "logging.level", "regions"]);
        let applied: Vec<_> = found.into_iter().filter(|key| is_reloadable(key)).collect();
        assert_eq!(applied, ["door.read_only", "logging.level"]);
        let left = differences(&with_applied(before, &after, &applied), &after);
        assert_eq!(left, ["auth.trust.addresses", "listen", "regions"]);
    }

    #[test]
    fn every_fixed_key_of_a_door_is_one() {
        for key in littoral_doors::Config::FIXED {
            let error = toml::from_str::<littoral_doors::Config>(&format!("{key} = {{ x = 1 }}")).unwrap_err();
            assert!(!error.to_string().contains("unknown field"), "{key}: {error}");
        }
    }
}
