//! Logs that are rolled back to older copies, at a start or with the host that runs them. Every acknowledged write that
//! is not lost is in every region once all faults have ended, and no watermark names a record that is missing.

use littoral_model::mutation::{Mutation, set};
use littoral_simulation::regions::run_put_back;

/// Seeds of every run.
const SEEDS: u64 = 100;
/// Seeds within which a deliberate fault must be found.
const BITES_WITHIN: u64 = 200;

#[test]
fn acknowledged_writes_that_are_not_lost_are_everywhere_after_rollbacks() {
    let (mut put_backs, mut acknowledged) = (0, 0);
    for seed in 0..SEEDS {
        let counts = run_put_back(seed).unwrap_or_else(|broken| panic!("{broken}"));
        (put_backs, acknowledged) = (put_backs + counts.put_backs, acknowledged + counts.acknowledged);
    }
    println!("{put_backs} logs were rolled back, {acknowledged} writes were acknowledged");
    assert!(put_backs > SEEDS / 2 && acknowledged > 10 * SEEDS);
}

/// A seed that finds each rare fault.
const FOUND: [u64; 1] = [3_022_840];

#[test]
fn deliberate_faults_that_are_rare_are_found_by_the_seeds_that_found_them() {
    for (mutation, seed) in Mutation::PUT_BACK_RARE.into_iter().zip(FOUND) {
        set(Some(mutation));
        let found = run_put_back(seed);
        set(None);
        assert!(found.is_err(), "{mutation:?} is not found by seed {seed}");
        run_put_back(seed).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn every_deliberate_fault_is_found() {
    for mutation in Mutation::PUT_BACK {
        set(Some(mutation));
        let found = (0..BITES_WITHIN).find_map(|seed| run_put_back(seed).err().map(|broken| (seed, broken)));
        set(None);
        let Some((seed, broken)) = found else { panic!("{mutation:?} is not found within {BITES_WITHIN} seeds") };
        println!("{mutation:?}: found in {} seeds: {broken}", seed + 1);
    }
}
