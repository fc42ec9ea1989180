//! Worlds in which the leader builds batches while others are being written.

use littoral_model::mutation::{Mutation, set};
use littoral_simulation::run_ahead;

const SEEDS: u64 = 500;

#[test]
fn every_invariant_holds_when_batches_are_built_ahead() {
    let failures: Vec<_> = (0..SEEDS).filter_map(|seed| run_ahead(seed).err()).map(|error| error.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_batch_that_survives_a_failed_predecessor_is_found() {
    for mutation in Mutation::AHEAD {
        set(Some(mutation));
        let found = (0..SEEDS).find_map(|seed| run_ahead(seed).err());
        set(None);
        let failure = found.unwrap_or_else(|| panic!("{mutation:?} is not found within {SEEDS} seeds"));
        println!("{mutation:?}: found in {} seeds: {}", failure.seed + 1, failure.broken);
        assert!(run_ahead(failure.seed).is_ok(), "seed {} fails without {mutation:?}", failure.seed);
    }
}
