//! `littoral region`: shows and changes the roles of a topology's regions.
//!
//! Routers read the topology file and reload it when it changes. Each command changes the file atomically, prints what
//! it did, and can be repeated.

use crate::{
    commands::leading,
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_model::{region::Region as Name, status::NodeStatus};
use littoral_router::{
    Topology,
    topology::{Region, Role},
    watch::read_topology,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often leaders are queried while one catches up.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// `littoral region ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The topology file that the routers read.
    #[arg(long, global = true, value_name = "FILE", default_value = "edge-config/topology-two-regions.toml")]
    topology: PathBuf,
    /// Print what would be done, and do nothing.
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show each region's role, weight, leader, and replication from the other regions.
    List,
    /// Make a region active: it accepts reads and writes.
    Promote { region: Name },
    /// Make a region standby: it accepts reads when no active region can, and no writes.
    Demote { region: Name },
    /// Drain a region: it receives no new requests, and running ones finish.
    Drain { region: Name },
    /// Move requests to another region: drain FROM, wait until TO has everything, promote TO.
    Failover {
        from: Name,
        to: Name,
        /// How long TO may take until it has everything, for example `30s`.
        #[arg(long, default_value = "60s", value_parser = text::parse_span)]
        wait: Duration,
        /// Promote TO although FROM cannot be reached. Writes that only FROM has are missing until it comes back.
        #[arg(long)]
        lost: bool,
    },
    /// Move requests back: wait until TO has everything, send it requests in steps, make FROM standby.
    Failback {
        to: Name,
        from: Name,
        /// How long TO may take until it has everything, for example `30s`.
        #[arg(long, default_value = "60s", value_parser = text::parse_span)]
        wait: Duration,
        /// The successive weights of TO, in percent.
        #[arg(long, value_delimiter = ',', default_value = "10,50,100", value_parser = clap::value_parser!(u8).range(1..=100))]
        steps: Vec<u8>,
        /// How long each weight is kept before the next, for example `10s`.
        #[arg(long, default_value = "5s", value_parser = text::parse_span)]
        hold: Duration,
        /// Leave FROM active, for topologies in which all regions are.
        #[arg(long)]
        keep: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// If the file or a region is invalid, or a leader cannot be reached or does not catch up. The file contains the steps
/// done so far, and the command can be repeated.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let topology = read_topology(&args.topology).map_err(Failure::usage)?;
        let mut moves = Moves { path: &args.topology, topology, dry_run: args.dry_run, json, said: Vec::new() };
        match &args.action {
            Action::List => {
                moves.list().await?;
                return Ok(ExitCode::SUCCESS);
            }
            Action::Promote { region } => moves.set(*region, Role::Active, None)?,
            Action::Demote { region } => moves.set(*region, Role::Standby, None)?,
            Action::Drain { region } => moves.set(*region, Role::Draining, None)?,
            Action::Failover { from, to, wait, lost } => moves.failover((*from, *to), *wait, *lost).await?,
            Action::Failback { to, from, wait, steps, hold, keep } => {
                moves.failback((*from, *to), *wait, (steps, *hold), *keep).await?;
            }
        }
        output::answer(json, &json!({ "done": moves.said, "dry_run": args.dry_run }), |_| String::new())?;
        Ok(ExitCode::SUCCESS)
    })
}

struct Moves<'a> {
    path: &'a Path,
    topology: Topology,
    dry_run: bool,
    json: bool,
    said: Vec<String>,
}

impl Moves<'_> {
    fn say(&mut self, what: String) {
        if !self.json {
            output::note(&what);
        }
        self.said.push(what);
    }

    fn region(&self, name: Name) -> Result<&Region, Failure> {
        let found = self.topology.regions.iter().find(|region| region.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = self.topology.regions.iter().map(|region| region.name.to_string()).collect();
            Failure::usage(format!(
                "{}: there is no region '{name}'; its regions are {}",
                self.path.display(),
                known.join(", ")
            ))
        })
    }

    fn set(&mut self, name: Name, role: Role, weight: Option<u8>) -> Result<(), Failure> {
        let region = self.region(name)?;
        let (old, share) = (region.role, region.weight);
        let weight = weight.unwrap_or(share);
        let what = match role {
            Role::Active => format!("active, with {weight}% of its requests"),
            Role::Standby => "standby".to_owned(),
            Role::Draining => "draining".to_owned(),
        };
        if (old, share) == (role, weight) {
            self.say(format!("'{name}' is already {what}"));
            return Ok(());
        }
        let others = self.topology.regions.iter().filter(|other| other.name != name);
        if role != Role::Active && old == Role::Active && !others.clone().any(|other| other.role == Role::Active) {
            self.say("no region is active from now on: writes are rejected until one is promoted".to_owned());
        }
        if !self.dry_run {
            edit(self.path, name, role, weight)?;
        }
        for region in self.topology.regions.iter_mut().filter(|region| region.name == name) {
            (region.role, region.weight) = (role, weight);
        }
        let would = if self.dry_run { "would be" } else { "is" };
        self.say(format!("'{name}' {would} {what}"));
        Ok(())
    }

    async fn failover(&mut self, (from, to): (Name, Name), wait: Duration, lost: bool) -> Result<(), Failure> {
        self.region(to)?;
        self.set(from, Role::Draining, None)?;
        if lost {
            self.say(format!(
                "writes that only '{from}' has are missing until it comes back; `littoral conflicts list` then shows those that lost"
            ));
        } else {
            self.catch_up(from, to, wait).await?;
        }
        self.set(to, Role::Active, Some(100))
    }

    async fn failback(
        &mut self,
        (from, to): (Name, Name),
        wait: Duration,
        (steps, hold): (&[u8], Duration),
        keep: bool,
    ) -> Result<(), Failure> {
        self.region(from)?;
        self.catch_up(from, to, wait).await?;
        for (at, share) in steps.iter().enumerate() {
            self.set(to, Role::Active, Some(*share))?;
            if !self.dry_run && at + 1 < steps.len() {
                tokio::time::sleep(hold).await;
                // Fails if the leader does not respond at the current weight: it must not receive more requests.
                self.status(to).await?;
            }
        }
        if keep { Ok(()) } else { self.set(from, Role::Standby, None) }
    }

    /// Waits until `to` has everything that `from` has at the time of the call.
    async fn catch_up(&mut self, from: Name, to: Name, wait: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        let wanted = self
            .status(from)
            .await
            .map_err(|error| Failure { message: format!("{error}; if '{from}' is lost, use --lost"), ..error })?;
        loop {
            let has = self.status(to).await?;
            if has.covers(&wanted.watermark) {
                self.say(format!("'{to}' has everything that '{from}' has"));
                return Ok(());
            }
            if begun.elapsed() >= wait {
                return Err(Failure::rejected(format!(
                    "'{to}' did not receive everything that '{from}' has within {} s; it has '{}' of '{}'. No further step was \
                     made: see `littoral region list`, and repeat this command",
                    wait.as_secs(),
                    has.watermark,
                    wanted.watermark
                )));
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Returns the status of a region's leader.
    async fn status(&self, name: Name) -> Result<NodeStatus, Failure> {
        let leader = leading::status(self.region(name)?).await?;
        let leader = leader.ok_or_else(|| {
            Failure::usage(format!(
                "region '{name}' of {} has no leader in the topology; add `leader` or `members`",
                self.path.display()
            ))
        })?;
        Ok(leader)
    }

    async fn list(&self) -> Result<(), Failure> {
        let (mut shown, mut unreached) = (Vec::new(), Vec::new());
        let mut table = Table::new(&["region", "role", ">share", "leader", "has of others"]);
        for region in &self.topology.regions {
            let role = serde_json::to_value(region.role).unwrap_or_default();
            let role = role.as_str().unwrap_or_default().to_owned();
            let mut of = Vec::new();
            let mut leader = serde_json::Value::Null;
            let state = match leading::status(region).await {
                Ok(None) => "none".to_owned(),
                Err(error) => {
                    unreached.push(region.name.to_string());
                    leader = json!({ "error": error.to_string() });
                    error.to_string().red()
                }
                Ok(Some(status)) => {
                    leader = json!({ "name": status.name, "position": status.position.to_string() });
                    of = status.regions;
                    let which = if region.members.is_empty() { String::new() } else { format!("{} ", status.name) };
                    format!("{which}{} at {}", "up".green(), text::count(status.position.lsn.0))
                }
            };
            let others: Vec<String> = of
                .iter()
                .map(|other| match other.behind_ms {
                    Some(ms) if other.connected => format!("{}: {ms} ms ago", other.region),
                    _ => format!("{}: not connected", other.region),
                })
                .collect();
            let share = region.weight;
            table.row([region.name.to_string().cyan(), role.clone(), share.to_string(), state, others.join(", ")]);
            shown.push(json!({ "region": region.name, "role": role, "share": share, "leader": leader, "others": of }));
        }
        output::answer(self.json, &shown, |_| table.render(""))?;
        if unreached.is_empty() {
            return Ok(());
        }
        Err(Failure::unreachable(format!("no leader could be reached in {}", unreached.join(", "))))
    }
}

/// Changes a region's role and weight in the file atomically, and keeps the file's comments and order.
fn edit(path: &Path, name: Name, role: Role, weight: u8) -> Result<(), Failure> {
    let cannot =
        |error: &dyn std::fmt::Display| Failure::rejected(format!("cannot change {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    let mut document: toml_edit::DocumentMut = text.parse().map_err(|error| cannot(&error))?;
    let regions = document.get_mut("regions").and_then(toml_edit::Item::as_array_of_tables_mut);
    let regions = regions.ok_or_else(|| cannot(&"its regions are not declared as [[regions]]"))?;
    let role = serde_json::to_value(role).map_err(|error| cannot(&error))?;
    for table in regions.iter_mut() {
        if table.get("name").and_then(toml_edit::Item::as_str) == Some(name.as_str()) {
            put(table, "role", role.as_str().unwrap_or_default().into());
            put(table, "weight", i64::from(weight).into());
        }
    }
    let text = document.to_string();
    Topology::parse(&text).map_err(|error| cannot(&error))?;
    littoral_runtime::replace_file(path, text.as_bytes(), 0o644).map_err(|error| cannot(&error))
}

/// Sets a value and keeps the surrounding whitespace and comments.
fn put(table: &mut toml_edit::Table, key: &str, value: toml_edit::Value) {
    match table.get_mut(key).and_then(toml_edit::Item::as_value_mut) {
        Some(old) => {
            let around = old.decor().clone();
            *old = value;
            *old.decor_mut() = around;
        }
        None => drop(table.insert(key, toml_edit::Item::Value(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_comments_and_other_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("topology.toml");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../edge-config/topology-two-regions.toml");
        let before = std::fs::read_to_string(example).unwrap();
        std::fs::write(&path, &before).unwrap();
        edit(&path, "eu-west".parse().unwrap(), Role::Draining, 40).unwrap();
        let after = std::fs::read_to_string(&path).unwrap();
        let topology = Topology::parse(&after).unwrap();
        let roles: Vec<_> = topology.regions.iter().map(|region| (region.role, region.weight)).collect();
        assert_eq!(roles, [(Role::Active, 100), (Role::Draining, 40)]);
        let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
        assert_eq!(comments(&after), comments(&before));
        edit(&path, "eu-west".parse().unwrap(), Role::Active, 100).unwrap();
        let same = Topology::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(same, Topology::parse(&before).unwrap());
    }
}
