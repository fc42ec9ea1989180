//! `littoral conflicts`: writes that lost against another region's.

use crate::{
    commands::target::{Target, failed},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_client::{Conflict, ConflictSide, Conflicts, RowsReceipt};
use serde_json::{Map, Value};
use std::process::ExitCode;

/// `littoral conflicts ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the newest, with the value that readers see and the one that they do not.
    List {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
        #[command(flatten)]
        target: Target,
    },
    /// Write the value that lost again, as of now, so that it wins.
    Replay {
        /// The conflict, as `list` names it.
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

/// Lists or replays.
///
/// # Errors
/// When the node is no leader or cannot be reached, or does not know the conflict.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        match &args.action {
            Action::List { limit, target } => {
                let found = target.client()?.conflicts(usize::from(*limit)).await.map_err(failed)?;
                output::answer(json, &found, render)?;
            }
            Action::Replay { id, target } => {
                let receipt = target.client()?.replay_conflict(id).await.map_err(failed)?;
                let said = serde_json::json!({ "token": receipt.token, "position": receipt.position.to_string() });
                output::answer(json, &said, |_| replayed(&receipt))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn render(found: &Conflicts) -> String {
    if found.conflicts.is_empty() {
        return "no conflicts: every write that lost was known to the writer of the one that won\n".to_owned();
    }
    let mut table = Table::new(&["view", "key", "kept", "lost", "id"]);
    for Conflict { id, view, key, kept, lost, .. } in &found.conflicts {
        let view = view.as_deref().unwrap_or("(dropped)");
        table.row([view.cyan(), members(key), side(kept), side(lost), id.clone()]);
    }
    let (shown, known) = (found.conflicts.len() as u64, found.known);
    let of = format!("{} of {} that are remembered", text::count(shown), text::count(known));
    format!("{}{of}; `littoral conflicts replay ID` makes a lost value win\n", table.render(""))
}

fn side(side: &ConflictSide) -> String {
    let values = side.values.as_ref().map_or_else(|| "deleted".to_owned(), members);
    format!("{}: {values}", side.region)
}

fn members(values: &Map<String, Value>) -> String {
    values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn replayed(receipt: &RowsReceipt) -> String {
    let lost = match receipt.outranked.count == 0 {
        true => "",
        false => "it changed nothing, as a newer row is held by now; look at the conflict again\n",
    };
    format!("{} under the token {}\n{lost}", "written again".green(), receipt.token)
}
