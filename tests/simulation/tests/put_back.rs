//! Logs that are put back to older copies of themselves, at a start or with the host that runs them: what is acknowledged and not lost is
//! in every region once all is healed, and no watermark names what is not there.

use littoral_model::mutation::{Mutation, set};
use littoral_simulation::regions::run_put_back;

/// Seeds that every run tries.
const SEEDS: u64 = 100;
/// Seeds within which a deliberate fault must be found.
const BITES_WITHIN: u64 = 200;

#[test]
fn what_is_acknowledged_and_not_lost_is_everywhere_whatever_is_put_back() {
    let (mut put_backs, mut acknowledged) = (0, 0);
    for seed in 0..SEEDS {
        let counts = run_put_back(seed).unwrap_or_else(|broken| panic!("{broken}"));
        (put_backs, acknowledged) = (put_backs + counts.put_backs, acknowledged + counts.acknowledged);
    }
    println!("{put_backs} logs were put back, {acknowledged} writes were acknowledged");
    assert!(put_backs > SEEDS / 2 && acknowledged > 10 * SEEDS);
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
