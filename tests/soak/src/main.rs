//! The command `littoral-soak`, described in the library.

use clap::Parser;
use littoral_soak::Plan;
use std::{io::Write as _, process::ExitCode, time::Duration};

/// Runs real nodes under mixed load, kills and careless clients, and reports what has grown, leaked or been lost.
#[derive(Parser)]
struct Arguments {
    /// The duration in minutes.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Chooses the moments of kills and the keys; random by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let duration = Duration::try_from_secs_f64(arguments.minutes * 60.0).unwrap_or(Duration::from_secs(300));
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let report = match littoral_soak::run(Plan { duration, seed }) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: the soak could not be run: {error}");
            return ExitCode::FAILURE;
        }
    };
    let text = if arguments.json {
        serde_json::to_string_pretty(&report).unwrap_or_else(|error| error.to_string())
    } else {
        report.to_string()
    };
    // A closed standard output does not mean that the soak failed.
    let _ = writeln!(std::io::stdout(), "{text}");
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
