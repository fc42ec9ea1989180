//! `littoral drill`: injects faults into a real cluster on this machine and measures what clients experience.

use super::{
    report::{Event, html, text},
    run::{Order, carry_out},
    scenario::Drill,
};
use crate::{failure::Failure, output};
use clap::ValueEnum;
use littoral_lease::Profile;
use littoral_provision::project;
use littoral_router::watch::read_topology;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `littoral drill ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The drill to run; without one, all drills are listed.
    #[arg(value_name = "DRILL")]
    drill: Option<Drill>,
    /// The topology file [default: the one in edge-config/ that the drill is made for].
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// The seed of all random choices: which edge is lost, how links vary.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the report as an HTML page.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Where the nodes keep their data and logs [default: a directory that is removed afterwards].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Run all regions on the loopback, even where each could have a network namespace of its own.
    #[arg(long)]
    loopback: bool,
    /// Run the nodes without TLS. Otherwise they have certificates that are issued for the drill.
    #[arg(long)]
    plain: bool,
    /// The `littoral` of the previous release, with which rolling-upgrade begins [default: this one, held at the
    /// previous protocol version].
    #[arg(long, value_name = "FILE", env = "LITTORAL_PREVIOUS")]
    previous: Option<PathBuf>,
    /// The times of the lease, where a region has several members.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    lease: Profile,
}

/// Runs a drill. The exit code is 1 when it misses an objective of its topology.
///
/// # Errors
/// When the cluster cannot be started, or the report cannot be written.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Some(which) = args.drill else {
        return list(json);
    };
    let path = match &args.topology {
        Some(path) => path.clone(),
        None => shipped(which.scenario().topology)?,
    };
    let topology = read_topology(&path).map_err(Failure::usage)?;
    let kept;
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            kept = tempfile::Builder::new()
                .prefix("littoral-drill-")
                .tempdir()
                .map_err(|error| Failure::rejected(format!("cannot create a directory: {error}")))?;
            kept.path().to_owned()
        }
    };
    let apart = !args.loopback;
    let order = Order {
        drill: which,
        topology,
        seed: args.seed,
        data_dir,
        apart,
        lease: args.lease,
        tls: !args.plain,
        previous: args.previous.clone(),
    };
    littoral_cli::block_on(async move {
        let note = |event: &Event| {
            if !json {
                output::note(&format!("{:>8.3} s  {}", event.at_ms as f64 / 1e3, event.what));
            }
        };
        let report = carry_out(order, note).await?;
        if let Some(path) = &args.report {
            write(path, &html(&report))?;
        }
        output::answer(json, &report, text)?;
        Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Returns the path of a topology that the project ships.
fn shipped(name: &str) -> Result<PathBuf, Failure> {
    let file = format!("edge-config/{name}");
    let root = project::with(&[&file])
        .map_err(|missing| Failure::usage(format!("{missing}; or name a topology with --topology")))?;
    Ok(root.join(file))
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
    std::fs::write(path, page).map_err(|error| Failure::rejected(format!("cannot write {}: {error}", path.display())))
}
