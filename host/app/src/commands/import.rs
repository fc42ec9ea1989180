//! `littoral import`: imports definitions from another system.

use crate::{
    commands::target::{client, failed},
    failure::Failure,
    output::{self, Paint, Table},
};
use clap::Subcommand;
use littoral_client::ProjectName;
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
        /// The project of the registry, if it contains several.
        #[arg(long)]
        project: Option<String>,
        /// Import into this project, and create it if it does not exist [default: the project of the registry's name].
        /// Feast clients use `http://HOST/p/PROJECT` as their `path`; for `default` also `http://HOST`.
        #[arg(long, value_name = "PROJECT")]
        into: Option<ProjectName>,
        /// Show what would be imported, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Imports the definitions. If any is rejected, or still needs a module, the exit code is 1 after all others were
/// imported.
///
/// # Errors
/// If the file is not a registry, the leader cannot be reached, or not everything could be imported.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Feast { registry, leader, project, into, dry_run } = &args.action;
    let at_fault = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", registry.display()));
    let bytes = std::fs::read(registry).map_err(|error| at_fault(&error))?;
    let plan = Plan::read(&bytes, project.as_deref()).map_err(|error| at_fault(&error))?;
    let own = || {
        let name = plan.project.parse::<ProjectName>();
        name.map_err(|error| at_fault(&format!("{error}; name another project with --into")))
    };
    super::block_on(async {
        let client = client(leader)?;
        let ended = |error| match error {
            Error::Client(error) => failed(error),
            other => Failure::rejected(other),
        };
        let into = match into {
            Some(into) => into.clone(),
            None => {
                let own = own()?;
                if let Some(view) = littoral_feast_registry::is_in_default(&plan, &client, &own).await.map_err(ended)? {
                    return Err(Failure::usage(format!(
                        "project 'default' already has view '{view}', perhaps from an import by an earlier release; \
                         add `--into default` to update the definitions there, or `--into {own}` to import into the \
                         project of the registry's name"
                    )));
                }
                own
            }
        };
        let report = littoral_feast_registry::import(&plan, &client, Some(into), *dry_run).await.map_err(ended)?;
        output::answer(json, &report, render)?;
        if report.is_complete() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::rejected(
            "not everything is imported yet; run the commands listed above, then run this import again",
        ))
    })
}

fn render(report: &ImportReport) -> String {
    let into = report.into.as_ref().map(|name| format!(", into project {}", name.bold()));
    let mut text = format!("Feast project {}{}\n\n", report.project.bold(), into.unwrap_or_default());
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
        Outcome::Rejected { reason } => ("refused".red(), reason.clone()),
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
