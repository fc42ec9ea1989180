//! `littoral ingest`: loads rows.

use crate::{
    commands::target::{self, Target},
    failure::Failure,
    output::{self, Paint, text},
    progress::Bar,
};
use clap::Subcommand;
use littoral_client::Config;
use littoral_ingest::{Error, Options, Report};
use littoral_model::write::WriteConcern;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Maximum number of rejected rows that are shown.
const REJECTED_SHOWN_MAX: usize = 10;

/// `littoral ingest ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Load Parquet files, whose columns are join keys, features and `event_timestamp`. An interrupted load resumes
    /// when it is run again.
    Parquet(Parquet),
}

#[derive(Debug, clap::Args)]
struct Parquet {
    /// A file, or a directory. The `*.parquet` files of a directory and its subdirectories are loaded in the order of
    /// their paths. A subdirectory named `KEY=VALUE` adds a column to its files. Names that begin with `.` or `_` are
    /// skipped.
    path: PathBuf,
    /// The view of the rows.
    #[arg(long)]
    view: String,
    /// The column with event timestamps [default: the one that the view's source names, or event_timestamp].
    #[arg(long, value_name = "COLUMN")]
    timestamp: Option<String>,
    /// The column with creation times: among rows with equal keys and event timestamps, the one created last wins
    /// [default: the one that the view's source names, or created, in files that have it].
    #[arg(long, value_name = "COLUMN")]
    created: Option<String>,
    /// Among rows with equal keys and event timestamps, keep the last one in the file.
    #[arg(long, conflicts_with = "created")]
    ignore_created: bool,
    /// A join key or feature whose column has another name, for example `mean_delay=avg_delay`. Repeat it for more.
    #[arg(long, value_name = "NAME=COLUMN")]
    column: Vec<String>,
    /// Treat features without a column as null instead of rejecting the file.
    #[arg(long)]
    missing_as_null: bool,
    /// Send only the last row of each entity key: the online state without its history.
    #[arg(long)]
    latest_only: bool,
    /// Number of batches in flight, 1 to 64.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    in_flight: usize,
    /// Where the load's state is stored [default: next to the file, or in the directory].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Skip rows that the node rejects, such as those whose event is too far in the future, and load the others.
    #[arg(long)]
    skip_refused: bool,
    /// Start from the beginning, whatever an earlier run has loaded.
    #[arg(long)]
    restart: bool,
    /// How durable each batch must be before it counts as loaded: local, quorum or regions=N.
    #[arg(long, default_value_t = WriteConcern::Local)]
    concern: WriteConcern,
    /// The node.
    #[command(flatten)]
    target: Target,
}

/// Loads the rows, with a progress bar on a terminal.
///
/// # Errors
/// If a file does not match the view, or the node rejects rows or cannot be reached. Acknowledged rows stay.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Parquet(parquet) = &args.action;
    let options = parquet.options()?;
    super::block_on(async {
        let config = Config { concern: parquet.concern, ..target::config()? };
        let client = parquet.target.client_with(config)?;
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
            _ => {
                Err(Failure::usage(format!("--column {pair}: expected NAME=COLUMN, for example mean_delay=avg_delay")))
            }
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

/// Converts a load's error to the command's failure.
pub fn failed(error: Error) -> Failure {
    match error {
        Error::Client(error) => target::failed(error),
        Error::Send { ref source, .. } if source.is_transient() => Failure::unreachable(error),
        Error::Send { .. } | Error::Row { .. } | Error::NoView(_) | Error::Internal(_) => Failure::rejected(error),
        _ => Failure::usage(error),
    }
}

fn describe(report: &Report) -> String {
    if report.was_finished {
        let (rows, nothing) = (text::count(report.rows_resumed), "nothing to do:".green());
        return match report.rows_refused_before {
            0 => format!("{nothing} all {rows} rows were loaded by an earlier run; --restart sends them again"),
            refused => format!(
                "{nothing} an earlier run loaded {rows} rows and skipped {} that the node rejected; --restart sends all \
                 of them again",
                text::count(refused)
            ),
        };
    }
    let took = text::span(Duration::from_millis(report.elapsed_ms));
    let (rows, rate) = (text::count(report.rows_sent - report.rows_known), text::count(report.rows_per_second as u64));
    let mut line = format!("{} {rows} rows in {took} ({rate} per second)", "loaded".green());
    if report.lost_since {
        line.push_str(
            "; rows of an earlier run were lost, because the log was restored from an older copy, and were sent again",
        );
    }
    let before = report.rows_resumed + report.rows_known;
    if before > 0 {
        line.push_str(&format!("; {} were loaded by an earlier run", text::count(before)));
    }
    if report.rows_outranked > 0 {
        let outranked = text::count(report.rows_outranked);
        line.push_str(&format!("; {outranked} of them changed nothing, because newer rows of their keys are stored"));
    }
    if report.rows_superseded > 0 {
        line.push_str(&format!(
            "; {} were skipped in favour of a later row of their key",
            text::count(report.rows_superseded)
        ));
    }
    if report.rows_refused_before > 0 {
        let refused = text::count(report.rows_refused_before);
        line.push_str(&format!("; {refused} were rejected and skipped by an earlier run"));
    }
    if report.rows_refused > 0 {
        line.push_str(&format!(
            "\n{} {} rows were rejected and skipped",
            "rejected:".red(),
            text::count(report.rows_refused)
        ));
        for refused in report.refused.iter().take(REJECTED_SHOWN_MAX) {
            line.push_str(&format!("\n  {}, row {}: {}", refused.file.display(), refused.row, refused.reason));
        }
        if report.rows_refused > REJECTED_SHOWN_MAX as u64 {
            line.push_str("\n  ... (--json lists more)");
        }
    }
    if report.files_hidden > 0 {
        let hidden = format!("skipped: {} files or directories whose names begin with '.' or '_'", report.files_hidden);
        line.push_str(&format!("\n{}", hidden.dim()));
    }
    if report.files_other > 0 {
        let others = format!("skipped: {} files whose names do not end in .parquet", report.files_other);
        line.push_str(&format!("\n{}", others.dim()));
    }
    if !report.columns_ignored.is_empty() {
        line.push_str(&format!("\n{}", format!("ignored columns: {}", report.columns_ignored.join(", ")).dim()));
    }
    line
}
