//! The simulation finds faults: each one that is put into the product breaks an invariant within a bounded number of
//! seeds, and without it the same seed passes.

use littoral_model::mutation::{Mutation, set};
use littoral_simulation::run;

/// Seeds within which each fault must be found.
const SEEDS: u64 = 600;

#[test]
fn every_deliberate_fault_is_found() {
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        set(Some(mutation));
        let found = (0..SEEDS).find_map(|seed| run(seed).err());
        set(None);
        match found {
            Some(failure) => {
                println!("{mutation:?}: found in {} seeds: {}", failure.seed + 1, failure.broken);
                assert!(run(failure.seed).is_ok(), "seed {} fails without {mutation:?}", failure.seed);
            }
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
