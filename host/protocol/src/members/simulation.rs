//! A simulated region. The lease guarantees only that no epoch is assigned twice, so several
//! members may believe that they lead. Messages queue in links that break, and members crash and
//! lose unsynced records.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test takes its size from the environment and prints"
)]

mod member;
mod world;

use littoral_model::mutation::{Mutation, set};
use world::World;

const SEEDS: u64 = 1_500;
/// The number of seeds within which each deliberate fault must be found.
const FOUND_WITHIN: u64 = 20_000;

fn run(seed: u64) -> Result<world::Counts, String> {
    World::new(seed).run().map_err(|broken| format!("seed {seed}: {broken}"))
}

#[test]
fn committed_records_are_never_lost() {
    let mut all = world::Counts::default();
    let seeds = std::env::var("LITTORAL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        all.add(&run(seed).unwrap());
    }
    println!("{all:?}");
    // A world in which nothing happens shows nothing.
    let enough = all.committed > 10_000 && all.leaderships > 1_000 && all.detached > 500 && all.snapshots > 50;
    assert!(enough && all.refused > 100 && all.lacking > 10, "{all:?}");
}

#[test]
fn every_deliberate_fault_is_found() {
    let mut not_found = Vec::new();
    for mutation in Mutation::MEMBERS {
        set(Some(mutation));
        let found = (0..FOUND_WITHIN).find_map(|seed| run(seed).err().map(|broken| (seed, broken)));
        set(None);
        match found {
            Some((seed, broken)) => {
                println!("{mutation:?}: found in {} seeds: {broken}", seed + 1);
                assert!(run(seed).is_ok(), "seed {seed} fails without {mutation:?}");
            }
            None => not_found.push(mutation),
        }
    }
    assert!(not_found.is_empty(), "not found within {FOUND_WITHIN} seeds: {not_found:?}");
}
