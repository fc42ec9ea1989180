//! The election in a simulated world: several candidates, a store that hangs, forgets and repeats, processes that are stopped,
//! killed and cut off, and clocks that run apart as far as they are allowed to. Everything follows from one seed.
//!
//! `LITTORAL_SEEDS=100000` runs more; `LITTORAL_SEED=N` one, telling what happens.

mod clock;
mod invariants;
mod node;
mod register;
mod weather;
mod world;

use littoral_model::mutation::{Mutation, set};
use world::World;

/// Seeds of the ordinary run.
const SEEDS: u64 = 400;
/// Seeds within which each deliberate fault must be found.
const BITES_WITHIN: u64 = 1_000;

fn run(seed: u64, tell: bool) -> Result<world::Counts, String> {
    World::new(seed, tell).run().map_err(|broken| format!("seed {seed}: {broken}; replay with LITTORAL_SEED={seed}"))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn elections_keep_their_promises() {
    if let Some(seed) = number("LITTORAL_SEED") {
        run(seed, true).unwrap();
        return;
    }
    let mut all = world::Counts::default();
    for seed in 0..number("LITTORAL_SEEDS").unwrap_or(SEEDS) {
        all.add(&run(seed, false).unwrap());
    }
    println!("{all:?}");
    // A world in which nothing happens proves nothing.
    assert!(all.acknowledged > 1_000 && all.leaderships > 1_000 && all.refused_after_lease > 10, "{all:?}");
}

#[test]
fn every_deliberate_fault_is_found() {
    let mut missed = Vec::new();
    for mutation in Mutation::LEASE {
        set(Some(mutation));
        let found = (0..BITES_WITHIN).find_map(|seed| run(seed, false).err().map(|broken| (seed, broken)));
        set(None);
        match found {
            Some((seed, broken)) => {
                println!("{mutation:?}: found in {} seeds: {broken}", seed + 1);
                assert!(run(seed, false).is_ok(), "seed {seed} fails without {mutation:?}");
            }
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "not found within {BITES_WITHIN} seeds: {missed:?}");
}
