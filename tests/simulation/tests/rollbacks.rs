//! Logs that are rolled back to older copies, at a start or with the host that runs them. Every acknowledged write that
//! is not lost is in every region once all faults have ended, and no watermark names a record that is missing.

use littoral_model::mutation::{Mutation, set};
use littoral_simulation::regions::run_rollbacks;

/// Seeds of every run.
const SEEDS: u64 = 100;
/// Seeds within which a deliberate fault must be found.
const FOUND_WITHIN: u64 = 200;

#[test]
fn acknowledged_writes_that_are_not_lost_are_everywhere_after_rollbacks() {
    let (mut rollbacks, mut acknowledged) = (0, 0);
    for seed in 0..SEEDS {
        let counts = run_rollbacks(seed).unwrap_or_else(|broken| panic!("{broken}"));
        (rollbacks, acknowledged) = (rollbacks + counts.rollbacks, acknowledged + counts.acknowledged);
    }
    println!("{rollbacks} logs were rolled back, {acknowledged} writes were acknowledged");
    assert!(rollbacks > SEEDS / 2 && acknowledged > 10 * SEEDS);
}

/// A seed that finds each rare fault.
const FOUND: [u64; 1] = [3_022_840];

#[test]
fn deliberate_faults_that_are_rare_are_found_by_the_seeds_that_found_them() {
    for (mutation, seed) in Mutation::ROLLBACK_RARE.into_iter().zip(FOUND) {
        set(Some(mutation));
        let found = run_rollbacks(seed);
        set(None);
        assert!(found.is_err(), "{mutation:?} is not found by seed {seed}");
        run_rollbacks(seed).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn every_deliberate_fault_is_found() {
    for mutation in Mutation::ROLLBACK {
        set(Some(mutation));
        let found = (0..FOUND_WITHIN).find_map(|seed| run_rollbacks(seed).err().map(|broken| (seed, broken)));
        set(None);
        let Some((seed, broken)) = found else { panic!("{mutation:?} is not found within {FOUND_WITHIN} seeds") };
        println!("{mutation:?}: found in {} seeds: {broken}", seed + 1);
    }
}
