//! `littoral tails`: detached tails. A member keeps records that it had to remove from its log; an edge keeps rows that
//! its leader's log has lost.

use crate::{
    commands::target::{Target, failed},
    failure::Failure,
    output::{self, Paint, Table, text},
};
use clap::builder::NonEmptyStringValueParser;
use littoral_client::{Tail, TailPage, TailRecord};
use littoral_model::tail::TailMerged;
use std::process::ExitCode;

/// `littoral tails ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Actions on tails. Each needs the door of the member or edge that keeps the tail (`--to`).
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the tails that a member or an edge keeps.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show the rows and deletions of a tail.
    Show {
        /// The name of the tail, as printed by `list`.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The first record to show.
        #[arg(long, default_value_t = 0, value_name = "LSN")]
        from: u64,
        /// Maximum number of rows.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
        #[command(flatten)]
        target: Target,
    },
    /// Append a tail's writes to the region's log under their old versions, so that newer writes win. Can be repeated.
    Merge {
        /// The name of the tail, as printed by `list`.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a tail, including acknowledged writes that the region's log has lost.
    Drop {
        /// The name of the tail, as printed by `list`.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

/// Lists, shows, merges or drops tails.
///
/// # Errors
/// If the node keeps no tails, does not have this one or cannot be reached, or if no leader can accept it.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        match &args.action {
            Action::List { target } => {
                let found = target.client()?.tails().await.map_err(failed)?;
                output::answer(json, &found, |found| list(found))?;
            }
            Action::Show { name, from, limit, target } => {
                let page = target.client()?.tail(name, *from, usize::from(*limit)).await.map_err(failed)?;
                output::answer(json, &page, show)?;
            }
            Action::Merge { name, target } => {
                let merged = target.client()?.merge_tail(name).await.map_err(failed)?;
                output::answer(json, &merged, |merged| said_merged(name, merged))?;
            }
            Action::Drop { name, target } => {
                let tail = target.client()?.drop_tail(name).await.map_err(failed)?;
                output::answer(json, &tail, |tail| format!("{} {}\n", "dropped".yellow(), tail.name))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(found: &[Tail]) -> String {
    if found.is_empty() {
        return "this node keeps no detached tails\n".to_owned();
    }
    let mut table = Table::new(&["tail", ">epoch", ">first", ">last", ">size", "log"]);
    for tail in found {
        let [epoch, first, last] = [tail.epoch, tail.first, tail.last].map(text::count);
        table.row([tail.name.cyan(), epoch, first, last, text::bytes(tail.bytes), tail.incarnation.clone()]);
    }
    format!("{}`littoral tails show NAME` shows a tail's rows; `merge` or `drop` removes it\n", table.render(""))
}

fn show(page: &TailPage) -> String {
    if page.records.is_empty() {
        return "no rows or deletions from there on; the other records only concern the log itself\n".to_owned();
    }
    let mut table = Table::new(&[">record", "view", "key", "values", "event"]);
    for record in &page.records {
        let view = record.view.as_deref().unwrap_or("(dropped)");
        let record_values = values(record);
        let event = record.event_timestamp.clone();
        table.row([text::count(record.lsn), view.cyan(), text::members(&record.key), record_values, event]);
    }
    let more = page.next.map_or_else(String::new, |next| format!("more with --from {next}\n"));
    format!("{}{more}", table.render(""))
}

fn values(record: &TailRecord) -> String {
    match &record.values {
        _ if record.deleted => "deleted".to_owned(),
        Some(values) => text::members(values),
        None => "(of a dropped view)".to_owned(),
    }
}

fn said_merged(name: &str, merged: &TailMerged) -> String {
    let TailMerged { rows, last, of_other_regions, without_view } = *merged;
    let count = text::count;
    let mut said = format!(
        "{} {name}: {} rows and deletions are in the region's log, up to record {last}\n",
        "merged".green(),
        count(rows)
    );
    if of_other_regions > 0 {
        said +=
            &format!("{} were left out: other regions have them and replicate them again\n", count(of_other_regions));
    }
    if without_view > 0 {
        said += &format!(
            "{} were left out, because their views are not in the catalogue; the tail is kept: create the views and merge it again, or drop it\n",
            count(without_view)
        );
    }
    said
}
