//! `littoral ingest`: loads rows.

use crate::{
    commands::target::{self, Target},
    failure::Failure,
    output::{self, Paint, progress::Bar, text},
};
use clap::Subcommand;
use littoral_client::{Client, Config};
use littoral_ingest::{Error, Options, Report};
use littoral_model::write::WriteConcern;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Refused rows that are shown.
const REFUSED_SHOWN_MAX: usize = 10;

/// `littoral ingest ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Load Parquet files: columns are join keys, features and `event_timestamp`. A load that was cut goes on where it
    /// was when it is run again.
    Parquet(Parquet),
}

#[derive(Debug, clap::Args)]
struct Parquet {
    /// A file, or a directory whose `*.parquet` files are loaded in the order of their paths, also those of folders within it: one
    /// named `KEY=VALUE` gives its files a column. Names that begin with `.` or `_` are left out.
    path: PathBuf,
    /// The view that the rows belong to.
    #[arg(long)]
    view: String,
    /// The column of event timestamps [default: the one that the view's source names, or event_timestamp].
    #[arg(long, value_name = "COLUMN")]
    timestamp: Option<String>,
    /// The column that says when a row was made: of rows of one key and equal event timestamps, the one made last stays
    /// [default: the one that the view's source names, or created, in files that have it].
    #[arg(long, value_name = "COLUMN")]
    created: Option<String>,
    /// Of rows of one key and equal event timestamps, keep the one that stands last in the file.
    #[arg(long, conflicts_with = "created")]
    ignore_created: bool,
    /// A join key or feature whose column has another name, as `mean_delay=avg_delay`; repeat it for more.
    #[arg(long, value_name = "NAME=COLUMN")]
    column: Vec<String>,
    /// Take features without a column as null instead of refusing the file.
    #[arg(long)]
    missing_as_null: bool,
    /// Send only the last row of each entity key: the online state without its history.
    #[arg(long)]
    latest_only: bool,
    /// Batches in flight, 1 to 64.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    in_flight: usize,
    /// Where the load's state is kept [default: beside the file or in the directory].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Leave out rows that the node refuses, as those of an event too far ahead, and load the others.
    #[arg(long)]
    skip_refused: bool,
    /// Begin anew, whatever an earlier run has done.
    #[arg(long)]
    restart: bool,
    /// How durable each batch must be before it counts as loaded: local, quorum or regions=N.
    #[arg(long, default_value_t = WriteConcern::Local)]
    concern: WriteConcern,
    /// The node.
    #[command(flatten)]
    target: Target,
}

/// Loads, with a progress bar where somebody looks.
///
/// # Errors
/// When a file does not fit, or the node refuses or cannot be reached. What was acknowledged stays.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Parquet(parquet) = &args.action;
    let options = parquet.options()?;
    super::block_on(async {
        let config = Config { concern: parquet.concern, ..Config::default() };
        let client = Client::new(&parquet.target.to, config).map_err(target::failed)?;
        let mut bar = Bar::new(json, &parquet.view);
        let report = littoral_ingest::ingest(&parquet.path, &client, &options, &mut bar).await;
        bar.finish();
        output::answer(json, &report.map_err(failed)?, describe)?;
        Ok(ExitCode::SUCCESS)
    })
}

impl Parquet {
    fn options(&self) -> Result<Options, Failure> {
        let renamed = self.column.iter().map(|pair| match pair.split_once('=') {
            Some((name, column)) if !name.is_empty() && !column.is_empty() => Ok((name.to_owned(), column.to_owned())),
            _ => Err(Failure::usage(format!("--column {pair}: it takes NAME=COLUMN, as mean_delay=avg_delay"))),
        });
        Ok(Options {
            timestamp: self.timestamp.clone(),
            created: self.created.clone(),
            ignore_created: self.ignore_created,
            renamed: renamed.collect::<Result<_, _>>()?,
            missing_as_null: self.missing_as_null,
            latest_only: self.latest_only,
            in_flight: self.in_flight,
            state: self.state.clone(),
            skip_refused: self.skip_refused,
            restart: self.restart,
            ..Options::new(&self.view)
        })
    }
}

/// What a load's error means for the command.
pub fn failed(error: Error) -> Failure {
    match error {
        Error::Client(error) => target::failed(error),
        Error::Send { ref source, .. } if source.is_transient() => Failure::unreachable(error),
        Error::Send { .. } | Error::Row { .. } | Error::NoView(_) | Error::Internal(_) => Failure::refused(error),
        _ => Failure::usage(error),
    }
}

fn describe(report: &Report) -> String {
    if report.was_finished {
        let rows = text::count(report.rows);
        return format!("{} all {rows} rows were in already; --restart sends them again", "nothing to do:".green());
    }
    let took = text::span(Duration::from_millis(report.elapsed_ms));
    let (rows, rate) = (text::count(report.rows_sent - report.rows_known), text::count(report.rows_per_second as u64));
    let mut line = format!("{} {rows} rows in {took} ({rate} a second)", "loaded".green());
    if report.lost_since {
        line.push_str("; what an earlier run had sent was lost since, as the log was put back to an older copy, and is sent again");
    }
    let before = report.rows_resumed + report.rows_known;
    if before > 0 {
        line.push_str(&format!("; {} were in from an earlier run", text::count(before)));
    }
    if report.rows_outranked > 0 {
        let outranked = text::count(report.rows_outranked);
        line.push_str(&format!("; {outranked} of them changed nothing, as newer rows of their keys are held"));
    }
    if report.rows_superseded > 0 {
        line.push_str(&format!("; {} were left out for a later row of their key", text::count(report.rows_superseded)));
    }
    if report.rows_refused > 0 {
        line.push_str(&format!(
            "\n{} {} rows were refused and left out",
            "refused:".red(),
            text::count(report.rows_refused)
        ));
        for refused in report.refused.iter().take(REFUSED_SHOWN_MAX) {
            line.push_str(&format!("\n  {}, row {}: {}", refused.file.display(), refused.row, refused.reason));
        }
        if report.rows_refused > REFUSED_SHOWN_MAX as u64 {
            line.push_str("\n  ... (--json names more)");
        }
    }
    if report.files_hidden > 0 {
        let hidden = format!("left out: {} files or folders whose names begin with '.' or '_'", report.files_hidden);
        line.push_str(&format!("\n{}", hidden.dim()));
    }
    if report.files_other > 0 {
        let others = format!("left out: {} files whose names do not end in .parquet", report.files_other);
        line.push_str(&format!("\n{}", others.dim()));
    }
    if !report.columns_ignored.is_empty() {
        line.push_str(&format!("\n{}", format!("ignored columns: {}", report.columns_ignored.join(", ")).dim()));
    }
    line
}
