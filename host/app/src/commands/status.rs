//! `littoral status`: shows the state of nodes.

use crate::{
    commands::target::{self, client},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_model::status::{NodeStatus, Role};
use serde::Serialize;
use std::{process::ExitCode, time::Duration};

/// `littoral status ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The nodes' doors.
    #[arg(value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    nodes: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<NodeStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Asks every node and shows them side by side.
///
/// # Errors
/// When a node does not answer; the others are shown.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let asked = args.nodes.iter().map(|url| async move {
            let status = async { client(url)?.status().await.map_err(target::failed) }.await;
            let (status, error) = match status {
                Ok(status) => (Some(status), None),
                Err(failure) => (None, Some(failure.message)),
            };
            Report { url: url.clone(), status, error }
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
        Table::new(&["node", "role", "region", "state", ">position", ">behind", ">rows", ">memory", "door"]);
    let mut views = Table::new(&["node", "view", "held", ">rows", ">memory"]);
    let mut modules = Table::new(&["node", "module", "release", "digest", "state"]);
    let mut regions = Table::new(&["node", "takes from", "state", ">has up to", ">behind", ">they have up to"]);
    let mut errors = String::new();
    for report in reports {
        let Some(status) = &report.status else {
            errors.push_str(&format!("{} {}\n", "no answer:".red(), report.error.as_deref().unwrap_or_default()));
            continue;
        };
        nodes.row(node(status, &report.url));
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
        for module in &status.modules {
            let digest = module.digest.chars().take(12).collect();
            let state = if module.ready { "ready".green() } else { "not ready".yellow() };
            modules.row([status.name.clone(), module.name.cyan(), module.version.clone(), digest, state]);
        }
    }
    let tables = [nodes, regions, views, modules].into_iter().filter(|table| !table.is_empty());
    tables.map(|table| table.render("")).chain([errors]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn node(status: &NodeStatus, url: &str) -> [String; 9] {
    let state = match (status.ready, status.degraded) {
        (true, None) => "ready".green(),
        (true, Some(why)) => format!("ready, degraded: {}", name_of(&why)).yellow(),
        (false, _) => format!("not ready: {}", status.not_ready_reason).red(),
    };
    let behind = match (status.role, status.staleness_ms) {
        (Role::Leader, _) => "-".to_owned(),
        (Role::Edge, Some(ms)) => text::span(Duration::from_millis(ms)),
        (Role::Edge, None) => "unknown".to_owned(),
    };
    [
        status.name.bold(),
        name_of(&status.role),
        status.region.to_string(),
        state,
        text::count(status.position.lsn.0),
        behind,
        text::count(status.views.iter().map(|view| view.rows).sum()),
        text::bytes(status.views.iter().map(|view| view.bytes).sum()),
        url.to_owned(),
    ]
}

/// A variant's name as the API writes it.
fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
