//! `littoral doctor`: checks the *surroundings* of a node, which are its host, its disk, its certificate and its peers.

mod at_rest;
mod disk;
mod finding;
mod host;
mod peers;
mod surroundings;

use crate::{
    failure::Failure,
    output::{self, Paint},
};
use finding::{Finding, Level};
use std::{path::PathBuf, process::ExitCode};
use surroundings::Surroundings;

/// `littoral doctor ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file of the node: a leader, an edge or a router. Environment variables override it, as they do
    /// for the node.
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

/// Checks the surroundings of a node, which may run meanwhile, and prints what to do.
///
/// # Errors
/// If the configuration is invalid, or a check finds something that keeps the node from working.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let surroundings = Surroundings::load(&args.config)?;
    super::block_on(async {
        let findings = surroundings.check().await;
        output::answer(json, &findings, |findings| render(findings))?;
        match findings.iter().filter(|finding| finding.level == Level::Problem).count() {
            0 => Ok(ExitCode::SUCCESS),
            count => Err(Failure::rejected(format!("{count} of {} checks found a problem", findings.len()))),
        }
    })
}

fn render(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let level = match finding.level {
            Level::Ok => "ok".green(),
            Level::Warning => "warning".yellow(),
            Level::Problem => "problem".red(),
        };
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
        format!("{level} {}: {}{remedy}\n", finding.subject, finding.what)
    };
    findings.iter().map(line).collect()
}
