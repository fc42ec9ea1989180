//! Runs seeds: `littoral-simulation --from 17 --seeds 1 --events` replays one and prints its events.

use clap::Parser;
use littoral_model::mutation::{self, Mutation};
use littoral_simulation::{
    regions::{self, Kind},
    run, run_swarm,
    timeline::{Timeline, TimelineEvent},
};
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
    /// The number of seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The number of threads that share the seeds. It does not change the output.
    #[arg(long, default_value = "1")]
    jobs: NonZeroUsize,
    /// Print every event.
    #[arg(long)]
    events: bool,
    /// Print a hash of each seed's events, to compare two runs.
    #[arg(long)]
    digests: bool,
    /// Run the world of several regions instead of the world of one.
    #[arg(long)]
    regions: bool,
    /// Run the world of several regions in which logs are rolled back to older copies.
    #[arg(long, conflicts_with = "regions")]
    rollbacks: bool,
    /// Run the world of several regions in which the rows of one view may not leave two of the regions.
    #[arg(long, conflicts_with_all = ["regions", "rollbacks"])]
    restricted: bool,
    /// Run worlds in which some kinds of faults are frequent and others never happen.
    #[arg(long, conflicts_with_all = ["regions", "rollbacks", "restricted"])]
    swarm: bool,
    /// Put this deliberate fault into the product.
    #[arg(long)]
    mutation: Option<Fault>,
}

#[derive(Clone, Copy)]
struct Fault(Mutation);

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let of_regions = || {
            let rollbacks = Mutation::ROLLBACK.into_iter().chain(Mutation::ROLLBACK_RARE);
            let residency = Mutation::RESIDENCY.into_iter().chain(Mutation::REGIONS_RESIDENCY);
            Mutation::REGIONS.into_iter().chain(Mutation::REGIONS_RARE).chain(rollbacks).chain(residency)
        };
        let all = || Mutation::ALL.into_iter().chain(Mutation::RARE).chain(of_regions());
        let found = all().find(|mutation| format!("{mutation:?}") == name);
        found.map(Self).ok_or_else(|| {
            let names: Vec<String> = all().map(|mutation| format!("{mutation:?}")).collect();
            format!("unknown fault; expected one of {}", names.join(", "))
        })
    }
}

/// What to print of one seed.
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
                // A fault exists only on the thread that sets it.
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

/// Prints the outcomes in the order of their seeds. Returns how many seeds failed.
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
        let kind = match (self.regions, self.rollbacks, self.restricted) {
            (true, ..) => Some(Kind::Plain),
            (_, true, _) => Some(Kind::Rollbacks),
            (.., true) => Some(Kind::Restricted),
            _ => None,
        };
        if let Some(kind) = kind {
            if self.events || self.digests {
                let (events, result) = regions::trace(seed, kind);
                return self.describe(seed, &events, result.err());
            }
            let run = match kind {
                Kind::Plain => regions::run,
                Kind::Rollbacks => regions::run_rollbacks,
                Kind::Restricted => regions::run_restricted,
            };
            return self.describe(seed, &Timeline::<regions::event::Event>::default(), run(seed).err());
        }
        match if self.swarm { run_swarm(seed) } else { run(seed) } {
            Ok(report) => self.describe(seed, &report.events, None),
            Err(failure) => self.describe(seed, &failure.events, Some(failure.to_string())),
        }
    }

    /// Lists the events and their digest if they are wanted, then the invariant that was broken.
    fn describe<E: TimelineEvent>(&self, seed: u64, events: &Timeline<E>, broken: Option<String>) -> Outcome {
        let mut lines: Vec<String> = if self.events { events.lines().collect() } else { Vec::new() };
        if self.digests {
            lines.push(format!("seed {seed} log {:016x}", events.digest()));
        }
        let failed = broken.is_some();
        lines.extend(broken);
        Outcome { lines, failed }
    }
}
