//! Runs seeds: `littoral-simulation --from 17 --seeds 1 --events` replays one with its log.

use clap::Parser;
use littoral_model::mutation::{self, Mutation};
use littoral_simulation::{run, run_ahead};
use std::{process::ExitCode, str::FromStr};

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
    /// Print each seed with a hash of its events, to compare two runs.
    #[arg(long)]
    digests: bool,
    /// The world of several regions in the place of one.
    #[arg(long)]
    regions: bool,
    /// Worlds in which batches are built while others are on their way to the disk.
    #[arg(long)]
    ahead: bool,
    /// Put this deliberate fault into the product.
    #[arg(long)]
    mutation: Option<Fault>,
}

#[derive(Clone, Copy)]
struct Fault(Mutation);

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let of_regions = || Mutation::REGIONS.into_iter().chain(Mutation::REGIONS_RARE);
        let all = || Mutation::ALL.into_iter().chain(Mutation::AHEAD).chain(Mutation::RARE).chain(of_regions());
        let found = all().find(|mutation| format!("{mutation:?}") == name);
        found.map(Self).ok_or_else(|| {
            let names: Vec<String> = all().map(|mutation| format!("{mutation:?}")).collect();
            format!("there is no such fault; there are {}", names.join(", "))
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    mutation::set(arguments.mutation.map(|fault| fault.0));
    let mut failed = 0_u64;
    if arguments.regions {
        for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
            if arguments.events {
                littoral_simulation::regions::events(seed).iter().for_each(|event| println!("{event}"));
            }
            if let Err(broken) = littoral_simulation::regions::run(seed) {
                failed += 1;
                println!("{broken}");
            }
        }
        println!("{} seeds, {failed} failed", arguments.seeds);
        return if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    for seed in arguments.from..arguments.from.saturating_add(arguments.seeds) {
        let result = if arguments.ahead { run_ahead(seed) } else { run(seed) };
        let (events, digest) = match &result {
            Ok(report) => (&report.events, report.digest),
            Err(failure) => (&failure.events, failure.digest()),
        };
        if arguments.events {
            events.iter().for_each(|event| println!("{event}"));
        }
        if arguments.digests {
            println!("seed {seed} log {digest:016x}");
        }
        if let Err(failure) = &result {
            failed += 1;
            println!("{failure}");
        }
    }
    println!("{} seeds, {failed} failed", arguments.seeds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
