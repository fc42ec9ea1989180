//! `littoral conflicts`: writes that lost to a write in another region.

use crate::{
    commands::target::{Target, failed},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use littoral_client::{Conflict, ConflictSide, Conflicts, RowsReceipt};
use std::process::ExitCode;

/// `littoral conflicts ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the newest conflicts, each with the value that readers see and the value that lost.
    List {
        /// Maximum number of conflicts.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
        #[command(flatten)]
        target: Target,
    },
    /// Write the losing value again with the current time, so that it wins.
    Replay {
        /// The ID of the conflict, as printed by `list`.
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

/// Lists conflicts or replays one.
///
/// # Errors
/// If the node is not a leader, cannot be reached, or does not have the conflict.
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
        return "no conflicts: the writer of each winning write knew of the write that lost\n".to_owned();
    }
    let mut table = Table::new(&["view", "key", "kept", "lost", "id"]);
    for Conflict { id, view, key, kept, lost, .. } in &found.conflicts {
        let view = view.as_deref().unwrap_or("(dropped)");
        table.row([view.cyan(), text::members(key), side(kept), side(lost), id.clone()]);
    }
    let (shown, known) = (found.conflicts.len() as u64, found.known);
    let of = format!("{} of {} remembered conflicts", text::count(shown), text::count(known));
    format!("{}{of}; `littoral conflicts replay ID` makes a losing value win\n", table.render(""))
}

fn side(side: &ConflictSide) -> String {
    let values = side.values.as_ref().map_or_else(|| "deleted".to_owned(), text::members);
    format!("{}: {values}", side.region)
}

fn replayed(receipt: &RowsReceipt) -> String {
    let lost = match receipt.outranked.count == 0 {
        true => "",
        false => "it changed nothing, because a newer row is stored by now; list the conflict again\n",
    };
    format!("{} under the token {}\n{lost}", "written again".green(), receipt.token)
}
