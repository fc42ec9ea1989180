//! Simulates elections: several contenders, a store that hangs, loses and repeats requests, processes that are paused,
//! killed and isolated, and clocks that drift as far as allowed. Everything follows from one seed.
//!
//! `LITTORAL_SEEDS=100000` runs more seeds; `LITTORAL_SEED=N` runs one and prints its events.

mod clock;
mod conditions;
mod invariants;
mod node;
mod register;
mod world;

use littoral_model::mutation::{Mutation, set};
use world::World;

/// The number of seeds in an ordinary run.
const SEEDS: u64 = 400;
/// Each deliberate fault must be found within this number of seeds.
const FOUND_WITHIN: u64 = 1_000;

fn run(seed: u64, verbose: bool) -> Result<world::Counts, String> {
    World::new(seed, verbose).run().map_err(|broken| format!("seed {seed}: {broken}; replay with LITTORAL_SEED={seed}"))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn elections_are_safe_and_live() {
    if let Some(seed) = number("LITTORAL_SEED") {
        run(seed, true).unwrap();
        return;
    }
    let mut all = world::Counts::default();
    for seed in 0..number("LITTORAL_SEEDS").unwrap_or(SEEDS) {
        all.add(&run(seed, false).unwrap());
    }
    println!("{all:?}");
    // A run in which nothing happens proves nothing.
    assert!(all.acknowledged > 1_000 && all.leaderships > 1_000 && all.rejected_after_lease > 10, "{all:?}");
}

#[test]
fn every_deliberate_fault_is_found() {
    let mut not_found = Vec::new();
    for mutation in Mutation::LEASE {
        set(Some(mutation));
        let found = (0..FOUND_WITHIN).find_map(|seed| run(seed, false).err().map(|broken| (seed, broken)));
        set(None);
        match found {
            Some((seed, broken)) => {
                println!("{mutation:?}: found in {} seeds: {broken}", seed + 1);
                assert!(run(seed, false).is_ok(), "seed {seed} fails without {mutation:?}");
            }
            None => not_found.push(mutation),
        }
    }
    assert!(not_found.is_empty(), "not found within {FOUND_WITHIN} seeds: {not_found:?}");
}
