//! `littoral verify`: verifies that an edge's rows equal its leader's.

use crate::{
    commands::target::{self, failed},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_client::{Client, Config, ProjectName};
use littoral_model::digest::{Verification, ViewVerification};
use std::{process::ExitCode, time::Duration};

/// `littoral verify ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The URL of the edge's door.
    #[arg(value_name = "EDGE", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    edge: String,
    /// Show only the views of this project.
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
    /// Timeout, in seconds. The edge checks every row.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

/// Makes the edge compare its rows with its leader's, and shows the result.
///
/// # Errors
/// If the edge cannot be reached, or cannot compare its rows now. A difference is not an error but exit code 1.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let config = Config { timeout_ms: args.timeout.saturating_mul(1_000), ..target::config()? };
        let client = Client::new(&args.edge, config).map_err(failed)?;
        let mut found = client.verify().await.map_err(failed)?;
        if let Some(project) = &args.project {
            found.views.retain_mut(|view| match project.strip(&view.view).map(str::to_owned) {
                Some(name) => {
                    view.view = name;
                    true
                }
                None => false,
            });
            found.equal = found.views.iter().all(|view| view.equal != Some(false));
        }
        output::answer(json, &found, render)?;
        Ok(if found.equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn render(found: &Verification) -> String {
    let mut views = Table::new(&["view", "held", ">rows", "compared with the leader"]);
    for view in &found.views {
        views.row([view.view.cyan(), view.residency.clone(), text::count(view.rows), verdict(view)]);
    }
    let verdict = if found.equal { "equal".green() } else { "not equal".red() };
    let took = text::span(Duration::from_millis(found.took_ms));
    let record = text::count(found.lsn.0);
    format!("{}\n{verdict} as of record {record}, in {took}\n", views.render(""))
}

fn verdict(view: &ViewVerification) -> String {
    let mended = if view.mended { ", repaired" } else { "" };
    match view.equal {
        Some(true) => "equal".green(),
        None if view.residency == "leader" => "held by the leader only".to_owned(),
        None => "unknown: the leader has excluded the view, because its rows changed in memory; see its log".yellow(),
        Some(false) if view.rows_differed > 0 => format!("{} rows differed{mended}", view.rows_differed).red(),
        Some(false) => {
            let (differed, spoilt) = (view.buckets_differed.len(), view.buckets_spoilt.len());
            format!("{differed} buckets differed, {spoilt} were corrupted in memory{mended}").red()
        }
    }
}
