//! `littoral read`: reads features, and shows what is known of their freshness.

use crate::{commands::target::Target, failure::Failure};
use std::process::ExitCode;

/// `littoral read ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The features, as `view:feature` or `module:output`, separated by commas.
    #[arg(long, value_delimiter = ',', required_unless_present = "service", value_name = "VIEW:FEATURE,..")]
    features: Vec<String>,
    /// A feature service in the place of single features.
    #[arg(long, conflicts_with = "features", value_name = "NAME")]
    service: Option<String>,
    /// One row: its join keys, as `origin=ATL,destination=ORD`. Repeat it for more rows.
    #[arg(long = "entity", required = true, value_name = "KEY=VALUE,..")]
    entities: Vec<String>,
    /// Request parameters for modules, as `departure_hour=17`; once for all rows, or once a row.
    #[arg(long = "param", value_name = "NAME=VALUE,..")]
    params: Vec<String>,
    /// Name features as `view__feature`.
    #[arg(long)]
    full_feature_names: bool,
    #[command(flatten)]
    demand: Demand,
    #[command(flatten)]
    target: Target,
}

/// How fresh the answer must be.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Freshness")]
struct Demand {
    /// The answer must include the write that returned this token.
    #[arg(long, value_name = "TOKEN")]
    at_least: Option<String>,
    /// The answer may be at most this far behind the leader, as `50ms` or `2s`.
    #[arg(long, value_name = "TIME", value_parser = crate::output::text::parse_span)]
    max_staleness: Option<std::time::Duration>,
    /// Who may answer.
    #[arg(long, value_parser = ["replica", "leader"])]
    consistency: Option<String>,
    /// What to do when that is not met yet.
    #[arg(long, value_parser = ["wait", "leader", "serve_stale", "fail"])]
    on_unmet: Option<String>,
    /// How long to wait where the read waits.
    #[arg(long, value_name = "TIME", value_parser = crate::output::text::parse_span)]
    wait: Option<std::time::Duration>,
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
