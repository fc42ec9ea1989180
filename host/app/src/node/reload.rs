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
    /// The bounds of its peer listener. `None` at a router.
    pub feed: Option<littoral_feed::server::Config>,
    /// The bounds of a router's gateway. `None` at other nodes.
    pub gateway: Option<littoral_router::gateway::Config>,
}

impl From<leader::File> for Reloadable {
    fn from(file: leader::File) -> Self {
        Self { feed: Some(file.feed()), logging: file.logging, door: Some(file.door), gateway: None }
    }
}

impl From<edge::File> for Reloadable {
    fn from(file: edge::File) -> Self {
        Self { feed: Some(file.feed()), logging: file.logging, door: Some(file.door), gateway: None }
    }
}

impl From<router::File> for Reloadable {
    fn from(file: router::File) -> Self {
        Self { logging: file.logging, door: None, feed: None, gateway: Some(file.router.gateway) }
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
    let sections: [(&str, &[&str]); 3] = [
        ("door.", &littoral_doors::Config::FIXED),
        ("feed.", &littoral_feed::server::Config::FIXED),
        ("router.gateway.", &littoral_router::gateway::Config::FIXED),
    ];
    let in_section =
        |(section, fixed): (&str, &[&str])| key.strip_prefix(section).is_some_and(|key| !fixed.contains(&key));
    key == LEVEL || sections.into_iter().any(in_section)
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
        let (sections, key) = key.rsplit_once('.').unwrap_or(("", key));
        let sections = || sections.split('.').filter(|section| !section.is_empty());
        let from = sections().try_fold(read, |home, section| home.get(section)?.as_table());
        let home = sections().try_fold(&mut running, |home, section| {
            home.entry(section).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
        });
        if let Some(home) = home {
            match from.and_then(|from| from.get(key)) {
                Some(value) => home.insert(key.to_owned(), value.clone()),
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
            "listen = 1\n[door]\nread_only = true\nhosts = [\"a\"]\n[auth.trust]\naddresses = []\n[[regions]]\nname = \"us\"\n\
             [router.gateway]\nattempts_max = 5\n[router.gateway.hosts]\n[feed]\nconnections_max = 5",
        );
        let after = table(
            "listen = 2\n[door]\nhosts = [\"a\"]\n[logging]\nlevel = \"warn\"\n[auth.trust]\naddresses = [\"::1\"]\n\
             [router.gateway]\nidle_ms = 7\n[feed]\nsubscribers_max = 5",
        );
        let found = differences(&before, &after);
        assert_eq!(
            found,
            [
                "auth.trust.addresses",
                "door.read_only",
                "feed.connections_max",
                "feed.subscribers_max",
                "listen",
                "logging.level",
                "regions",
                "router.gateway.attempts_max",
                "router.gateway.idle_ms",
            ]
        );
        let applied: Vec<_> = found.into_iter().filter(|key| is_reloadable(key)).collect();
        assert_eq!(applied, ["door.read_only", "feed.subscribers_max", "logging.level", "router.gateway.attempts_max"]);
        let left = differences(&with_applied(before, &after, &applied), &after);
        assert_eq!(
            left,
            ["auth.trust.addresses", "feed.connections_max", "listen", "regions", "router.gateway.idle_ms"]
        );
    }

    #[test]
    fn every_fixed_key_of_a_door_is_one() {
        for key in littoral_doors::Config::FIXED {
            let error = toml::from_str::<littoral_doors::Config>(&format!("{key} = {{ x = 1 }}")).unwrap_err();
            assert!(!error.to_string().contains("unknown field"), "{key}: {error}");
        }
    }

    #[test]
    fn the_readme_lists_every_key_of_a_reloadable_section_that_needs_a_restart() {
        let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let reload = readme.split("on SIGHUP").nth(1).unwrap().split("\n## ").next().unwrap();
        let listed = |section: &str, fixed: &[&str]| {
            let line = reload.lines().find(|line| line.starts_with(&format!("| `[{section}]` |"))).unwrap();
            let named: Vec<_> = line.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
            assert_eq!(named, fixed, "{section}");
        };
        listed("door", &littoral_doors::Config::FIXED);
        listed("feed", &littoral_feed::server::Config::FIXED);
        listed("router.gateway", &littoral_router::gateway::Config::FIXED);
    }
}
