//! Runs seeds: `littoral-simulation --from 17 --seeds 1 --events` replays one with its log.

use clap::Parser;
use std::process::ExitCode;

/// Runs the seeded world and checks its invariants after every event.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print every event.
    #[arg(long)]
    events: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut failed = 0_u64;
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        let result = littoral_simulation::run(seed);
        let events = match &result {
            Ok(report) => &report.events,
            Err(failure) => &failure.events,
        };
        if arguments.events {
            events.iter().for_each(|event| println!("{event}"));
        }
        if let Err(failure) = &result {
            failed += 1;
            println!("{failure}");
        }
    }
    println!("{} seeds, {failed} failed", arguments.seeds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
