//! `littoral status`: shows the state of nodes.

use crate::{
    commands::target::{self, client},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_client::Routes;
use littoral_model::{
    format::ProtocolVersion,
    status::{NodeStatus, Role},
};
use serde::Serialize;
use std::{process::ExitCode, time::Duration};

/// `littoral status ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The URLs of the nodes' doors.
    #[arg(value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    nodes: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<NodeStatus>,
    /// For a router: the state of the doors to which it sends requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<Routes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Queries every node and shows them side by side.
///
/// # Errors
/// If a node does not answer; the others are shown.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let asked = args.nodes.iter().map(|url| async move {
            let asked = async {
                let client = client(url)?;
                let status = client.status().await.map_err(target::failed)?;
                let routes = match status.role {
                    Role::Router => Some(client.routes().await.map_err(target::failed)?),
                    Role::Leader | Role::Follower | Role::Edge => None,
                };
                Ok::<_, Failure>((status, routes))
            };
            match asked.await {
                Ok((status, routes)) => Report { url: url.clone(), status: Some(status), routes, error: None },
                Err(failure) => Report { url: url.clone(), status: None, routes: None, error: Some(failure.message) },
            }
        });
        let reports = futures_util::future::join_all(asked).await;
        output::answer(json, &reports, |reports| render(reports))?;
        let silent = reports.iter().filter(|report| report.error.is_some()).count();
        match silent {
            0 => Ok(ExitCode::SUCCESS),
            _ => Err(Failure::unreachable(format!("{silent} of {} nodes did not answer", reports.len()))),
        }
    })
}

fn render(reports: &[Report]) -> String {
    let mut nodes =
        Table::new(&["node", "role", "region", "state", ">position", ">behind", "writes", ">rows", ">memory", "door"]);
    let mut views = Table::new(&["node", "view", "held", ">rows", ">memory"]);
    let mut modules = Table::new(&["node", "module", "release", "digest", "state"]);
    let mut regions = Table::new(&["node", "replicates from", "state", ">has up to", ">behind", ">they have up to"]);
    let mut members = Table::new(&["node", "member", "reachable"]);
    let mut doors = Table::new(&["router", "sends to", "node", "state", ">in flight", "door"]);
    let mut errors = String::new();
    for report in reports {
        let Some(status) = &report.status else {
            errors.push_str(&format!("{} {}\n", "no answer:".red(), report.error.as_deref().unwrap_or_default()));
            continue;
        };
        nodes.row(node(status, &report.url));
        for region in report.routes.iter().flat_map(|routes| &routes.regions) {
            for routed in &region.doors {
                let door = &routed.door;
                let state = match (door.state.as_str(), door.ejected_for_ms) {
                    (_, Some(ms)) => format!("ejected for {}", text::span(Duration::from_millis(ms))).yellow(),
                    ("healthy", None) => door.state.green(),
                    (_, None) => door.state.red(),
                };
                let (region, under_way) = (region.name.to_string(), text::count(door.in_flight.into()));
                doors.row([status.name.clone(), region, door.node.clone(), state, under_way, door.door.clone()]);
            }
        }
        for view in &status.views {
            let rows = text::count(view.rows);
            views.row([status.name.clone(), view.name.cyan(), view.residency.clone(), rows, text::bytes(view.bytes)]);
        }
        for other in &status.regions {
            let state = if other.connected { "connected".green() } else { other.trouble.red() };
            let behind =
                other.behind_ms.map_or_else(|| "unknown".to_owned(), |ms| text::span(Duration::from_millis(ms)));
            let taken = other.taken.map_or_else(|| "unknown".to_owned(), |lsn| text::count(lsn.0));
            let applied = text::count(other.applied.lsn.0);
            regions.row([status.name.clone(), other.region.to_string(), state, applied, behind, taken]);
        }
        for (member, heard) in heard(status) {
            let heard = if heard { "yes".green() } else { "no".red() };
            members.row([status.name.clone(), member.to_owned(), heard]);
        }
        for module in &status.modules {
            let digest = module.digest.chars().take(12).collect();
            let state = if module.ready { "ready".green() } else { "not ready".yellow() };
            modules.row([status.name.clone(), module.name.cyan(), module.version.clone(), digest, state]);
        }
    }
    let tables = [nodes, doors, members, regions, views, modules].into_iter().filter(|table| !table.is_empty());
    tables.map(|table| table.render("")).chain([errors]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Returns a leading member's followers, and whether it hears from each.
fn heard(status: &NodeStatus) -> impl Iterator<Item = (&str, bool)> {
    let gauges = status.gauges.iter();
    gauges.filter_map(|(name, value)| Some((name.strip_prefix("member_heard/")?, *value > 0.0)))
}

fn node(status: &NodeStatus, url: &str) -> [String; 10] {
    let state = match (status.ready, status.degraded) {
        (true, None) => match held(status) {
            Some(version) => format!("ready, held at protocol {version}").yellow(),
            None => "ready".green(),
        },
        (true, Some(why)) => format!("ready, degraded: {}", name_of(&why)).yellow(),
        (false, _) => format!("not ready: {}", status.not_ready_reason).red(),
    };
    let behind = match (status.role, status.staleness_ms) {
        (Role::Leader | Role::Router, _) => "-".to_owned(),
        (Role::Edge | Role::Follower, Some(ms)) => text::span(Duration::from_millis(ms)),
        (Role::Edge | Role::Follower, None) => "unknown".to_owned(),
    };
    let writes = match (status.writable, status.role) {
        (true, Role::Leader) => "accepts".green(),
        (true, Role::Follower | Role::Edge | Role::Router) => "forwards".to_owned(),
        (false, _) => "none".red(),
    };
    [
        status.name.bold(),
        name_of(&status.role),
        status.region.to_string(),
        state,
        text::count(status.position.lsn.0),
        behind,
        writes,
        text::count(status.views.iter().map(|view| view.rows).sum()),
        text::bytes(status.views.iter().map(|view| view.bytes).sum()),
        url.to_owned(),
    ]
}

/// Returns the protocol version at which the node is held, below the newest of this build.
fn held(status: &NodeStatus) -> Option<f64> {
    let version = status.gauges.get("protocol_version").copied();
    version.filter(|version| *version < f64::from(ProtocolVersion::NEWEST.number()))
}

/// Returns a variant's API name.
fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        position::{Epoch, Position},
        token::Watermark,
    };

    fn member(name: &str, role: Role, staleness_ms: Option<u64>, writable: bool) -> Report {
        let status = NodeStatus {
            name: name.to_owned(),
            role,
            region: "us-east".parse().unwrap(),
            ready: true,
            not_ready_reason: String::new(),
            degraded: None,
            epoch: Epoch(4),
            position: Position::default(),
            head: Position::default(),
            staleness_ms,
            writable,
            watermark: Watermark::default(),
            lineages: littoral_model::lineage::RegionLineages::default(),
            regions: Vec::new(),
            views: Vec::new(),
            modules: Vec::new(),
            gauges: Default::default(),
        };
        Report { url: format!("http://{name}"), status: Some(status), routes: None, error: None }
    }

    #[test]
    fn members_are_shown_with_their_role_staleness_and_handling_of_writes() {
        let mut leader = member("m1", Role::Leader, Some(0), true);
        if let Some(status) = &mut leader.status {
            status.gauges = [("member_heard/m2", 1.0), ("member_heard/m3", 0.0), ("queue_depth", 1.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        }
        let all = [leader, member("m2", Role::Follower, Some(14), true), member("m3", Role::Follower, None, false)];
        let shown = render(&all);
        let line = |name: &str, word: &str| shown.lines().any(|line| line.contains(name) && line.contains(word));
        assert!(line("m1", "leader") && line("m1", "accepts"), "{shown}");
        assert!(line("m2", "follower") && line("m2", "14 ms") && line("m2", "forwards"), "{shown}");
        assert!(line("m3", "follower") && line("m3", "unknown") && line("m3", "none"), "{shown}");
        let heard = |name: &str, word: &str| {
            shown.lines().any(|line| line.contains("m1") && line.contains(name) && line.contains(word))
        };
        assert!(heard("m2", "yes") && heard("m3", "no"), "{shown}");
        assert!(!shown.contains("queue_depth"), "{shown}");
        let json = serde_json::to_value(&all).unwrap();
        assert_eq!((&json[1]["status"]["role"], &json[1]["status"]["writable"]), (&"follower".into(), &true.into()));
    }

    #[test]
    fn a_node_that_is_held_at_the_previous_version_is_shown_so() {
        let shown = |version: ProtocolVersion| {
            let mut leader = member("m1", Role::Leader, Some(0), true);
            if let Some(status) = &mut leader.status {
                status.gauges = [("protocol_version".to_owned(), version.number().into())].into();
            }
            render(&[leader])
        };
        let held = format!("held at protocol {}", ProtocolVersion::PREVIOUS);
        assert!(shown(ProtocolVersion::PREVIOUS).contains(&held), "{}", shown(ProtocolVersion::PREVIOUS));
        assert!(!shown(ProtocolVersion::NEWEST).contains("held"), "{}", shown(ProtocolVersion::NEWEST));
    }

    #[test]
    fn a_router_is_shown_as_itself_with_the_doors_that_it_sends_to() {
        let mut router = member("front", Role::Router, None, true);
        let routes = r#"{"topology": "t", "regions": [{"name": "eu", "role": "active", "readable": true, "writable": true, "doors": [
            {"kind": "edge", "door": {"node": "e1", "door": "h:1", "state": "healthy", "ejected_for_ms": null, "in_flight": 3}},
            {"kind": "edge", "door": {"node": "e2", "door": "h:2", "state": "draining", "ejected_for_ms": null, "in_flight": 0}},
            {"kind": "edge", "door": {"node": "e3", "door": "h:3", "state": "healthy", "ejected_for_ms": 2000, "in_flight": 0}}]}]}"#;
        router.routes = Some(serde_json::from_str(routes).unwrap());
        let shown = render(&[router]);
        let line = |words: &[&str]| shown.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(line(&["front", "router", "ready", "forwards"]), "{shown}");
        assert!(line(&["front", "eu", "e1", "healthy", "h:1"]) && line(&["e2", "draining"]), "{shown}");
        assert!(line(&["e3", "ejected for", "2"]), "{shown}");
    }
}
