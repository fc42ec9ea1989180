//! `littoral import`: imports definitions from another system.

use crate::{
    commands::target::{client, failed},
    failure::Failure,
    output::{self, Paint, Table},
};
use clap::Subcommand;
use littoral_feast_registry::{Error, ImportReport, Item, Note, Outcome, Plan};
use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

/// `littoral import ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Import a Feast registry file: entities, feature views, on-demand views as module bindings, feature services and
    /// push sources. Run it again after uploading the modules that it lists.
    Feast {
        /// The registry file of Feast (`registry.db`).
        registry: PathBuf,
        /// The door of the leader or of an edge.
        #[arg(long, value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
        leader: String,
        /// The project, if the registry contains several.
        #[arg(long)]
        project: Option<String>,
        /// Show what would be imported, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Imports the definitions. If any is rejected, or still needs a module, the exit code is 1 after all others were imported.
///
/// # Errors
/// If the file is not a registry, the leader cannot be reached, or not everything could be imported.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Feast { registry, leader, project, dry_run } = &args.action;
    let at_fault = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", registry.display()));
    let bytes = std::fs::read(registry).map_err(|error| at_fault(&error))?;
    let plan = Plan::read(&bytes, project.as_deref()).map_err(|error| at_fault(&error))?;
    super::block_on(async {
        let report = littoral_feast_registry::import(&plan, &client(leader)?, *dry_run).await;
        let report = report.map_err(|error| match error {
            Error::Client(error) => failed(error),
            other => Failure::refused(other),
        })?;
        output::answer(json, &report, render)?;
        if report.is_complete() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::refused(
            "not everything is imported yet; run the commands listed above, then run this import again",
        ))
    })
}

fn render(report: &ImportReport) -> String {
    let mut text = format!("Feast project {}\n\n", report.project.bold());
    let mut table = Table::new(&["", "what", "name", ""]);
    for item in &report.items {
        table.row(row(item));
    }
    text.push_str(&table.render(""));
    for note in &report.notes {
        text.push_str(&remark(note));
    }
    let commands: BTreeSet<_> = report.items.iter().filter_map(command).collect();
    if !commands.is_empty() {
        text.push_str(&format!("\n{}\n", "To do, then import again:".bold()));
        commands.iter().for_each(|command| text.push_str(&format!("  {command}\n")));
    }
    text
}

fn row(item: &Item) -> [String; 4] {
    let (outcome, why) = match &item.outcome {
        Outcome::Created => ("created".green(), String::new()),
        Outcome::Changed => ("changed".green(), String::new()),
        Outcome::Unchanged => ("unchanged".dim(), String::new()),
        Outcome::Planned => ("planned".cyan(), String::new()),
        Outcome::Pending { reason, .. } => ("waits".yellow(), reason.clone()),
        Outcome::Refused { reason } => ("refused".red(), reason.clone()),
    };
    [outcome, item.kind.to_string(), item.name.clone(), why]
}

/// Returns the command that provides what an item waits for.
fn command(item: &Item) -> Option<&str> {
    if let Outcome::Pending { command, .. } = &item.outcome { Some(command) } else { None }
}

fn remark(note: &Note) -> String {
    let word = if note.left_out { "left out".yellow() } else { "note".dim() };
    format!("{word}  {} {}: {}\n", note.kind, note.name, note.reason)
}
