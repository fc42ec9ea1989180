//! `littoral drill`: breaks a real cluster on this machine on purpose and measures what clients see.

use crate::{
    config::lease::Profile,
    drill::{self, Drill, Order},
    failure::Failure,
    output, project,
};
use clap::ValueEnum;
use littoral_drill::report::{Event, html, text};
use littoral_router::watch::read_topology;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `littoral drill ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which drill; without one, what each does is shown.
    #[arg(value_name = "DRILL")]
    drill: Option<Drill>,
    /// The topology's file [default: the one in edge-config/ that the drill is made for].
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// What chance is drawn from: which edge is lost, how links vary.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as a page, too.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Where the nodes keep their data and logs [default: a directory that is removed afterwards].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Run all regions on the loopback, also where each could have a network of its own.
    #[arg(long)]
    loopback: bool,
    /// The times of the lease, where a region's log is kept by several members.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    lease: Profile,
}

/// Runs a drill. Exit code 1 when an objective of its topology was missed.
///
/// # Errors
/// When the cluster cannot be started, or the report cannot be written.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Some(which) = args.drill else {
        return list(json);
    };
    let path = match &args.topology {
        Some(path) => path.clone(),
        None => project::root()?.join("edge-config").join(which.scenario().topology),
    };
    let topology = read_topology(&path).map_err(Failure::usage)?;
    let kept;
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            kept = tempfile::Builder::new()
                .prefix("littoral-drill-")
                .tempdir()
                .map_err(|error| Failure::refused(format!("cannot make a directory: {error}")))?;
            kept.path().to_owned()
        }
    };
    let apart = !args.loopback;
    let order = Order { drill: which, topology, seed: args.seed, data_dir, apart, lease: args.lease };
    super::block_on(async move {
        let told = |event: &Event| {
            if !json {
                output::note(&format!("{:>8.3} s  {}", event.at_ms as f64 / 1e3, event.what));
            }
        };
        let report = drill::run(order, told).await?;
        if let Some(path) = &args.report {
            write(path, &html(&report))?;
        }
        output::answer(json, &report, text)?;
        Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let all: Vec<_> = Drill::value_variants()
        .iter()
        .filter_map(|drill| {
            let value = drill.to_possible_value()?;
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            Some((value.get_name().to_owned(), help, drill.scenario().topology))
        })
        .collect();
    let shown: Vec<_> = all
        .iter()
        .map(|(name, help, topology)| serde_json::json!({ "drill": name, "what": help, "topology": topology }))
        .collect();
    output::answer(json, &shown, |_| {
        let mut table = output::Table::new(&["drill", "what", "topology"]);
        for (name, help, topology) in &all {
            table.row([name.clone(), help.clone(), (*topology).to_owned()]);
        }
        table.render("")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, page: &str) -> Result<(), Failure> {
    std::fs::write(path, page).map_err(|error| Failure::refused(format!("cannot write {}: {error}", path.display())))
}
