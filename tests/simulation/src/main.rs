//! Runs seeds: `littoral-simulation --from 17 --seeds 1 --events` replays one with its log.

use clap::Parser;
use littoral_model::mutation::{self, Mutation};
use littoral_simulation::{regions, run, run_ahead};
use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    process::ExitCode,
    str::FromStr,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
};

/// Runs the seeded world and checks its invariants after every event.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads that share the seeds. The output is the same for any number of them.
    #[arg(long, default_value = "1")]
    jobs: NonZeroUsize,
    /// Print every event.
    #[arg(long)]
    events: bool,
    /// Print each seed with a hash of its events, to compare two runs.
    #[arg(long)]
    digests: bool,
    /// The world of several regions in the place of one.
    #[arg(long, conflicts_with_all = ["ahead", "digests"])]
    regions: bool,
    /// The world of several regions, in which logs are put back to older copies of themselves.
    #[arg(long, conflicts_with_all = ["regions", "ahead", "digests"])]
    put_back: bool,
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
        let of_regions = || Mutation::REGIONS.into_iter().chain(Mutation::REGIONS_RARE).chain(Mutation::PUT_BACK);
        let all = || Mutation::ALL.into_iter().chain(Mutation::AHEAD).chain(Mutation::RARE).chain(of_regions());
        let found = all().find(|mutation| format!("{mutation:?}") == name);
        found.map(Self).ok_or_else(|| {
            let names: Vec<String> = all().map(|mutation| format!("{mutation:?}")).collect();
            format!("there is no such fault; there are {}", names.join(", "))
        })
    }
}

/// What one seed has to print.
struct Outcome {
    lines: Vec<String>,
    failed: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let end = arguments.from.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.from);
    let (outcomes, arrived) = mpsc::channel();
    let failed = std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.get() {
            let (arguments, next, outcomes) = (&arguments, &next, outcomes.clone());
            scope.spawn(move || {
                // A fault is there only on the thread that asks for it.
                mutation::set(arguments.mutation.map(|fault| fault.0));
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end || outcomes.send((seed, arguments.outcome(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(outcomes);
        print_in_order(arguments.from, &arrived)
    });
    println!("{} seeds, {failed} failed", arguments.seeds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints outcomes by their seeds, whichever thread was quicker. Returns how many seeds failed.
fn print_in_order(first: u64, arrived: &mpsc::Receiver<(u64, Outcome)>) -> u64 {
    let (mut next, mut early, mut failed) = (first, BTreeMap::new(), 0);
    for (seed, outcome) in arrived {
        early.insert(seed, outcome);
        while let Some(outcome) = early.remove(&next) {
            outcome.lines.iter().for_each(|line| println!("{line}"));
            failed += u64::from(outcome.failed);
            next += 1;
        }
    }
    failed
}

impl Arguments {
    fn outcome(&self, seed: u64) -> Outcome {
        if self.regions || self.put_back {
            let mut lines = if self.events { regions::events(seed, self.put_back) } else { Vec::new() };
            let run = if self.put_back { regions::run_put_back } else { regions::run };
            let broken = run(seed).err();
            lines.extend(broken.clone());
            return Outcome { lines, failed: broken.is_some() };
        }
        let result = if self.ahead { run_ahead(seed) } else { run(seed) };
        let (events, digest) = match &result {
            Ok(report) => (&report.events, report.digest),
            Err(failure) => (&failure.events, failure.digest()),
        };
        let mut lines = if self.events { events.clone() } else { Vec::new() };
        if self.digests {
            lines.push(format!("seed {seed} log {digest:016x}"));
        }
        lines.extend(result.as_ref().err().map(ToString::to_string));
        Outcome { lines, failed: result.is_err() }
    }
}
