//! Two thousand seeds, with every invariant checked after every event.

use littoral_model::position::Lsn;
use littoral_simulation::{
    Failure,
    event::{Event, StreamEnd},
    run, run_swarm,
    timeline::{Hash, TimelineEvent as _},
};
use std::collections::BTreeSet;

/// The seeds, and the threads that share them: each world has one thread, and worlds are independent.
const SEEDS: u64 = 2_000;
const THREADS: u64 = 2;

#[test]
fn every_invariant_holds_for_two_thousand_seeds() {
    let failures_of =
        |thread| move || (thread..SEEDS).step_by(THREADS as usize).filter_map(|seed| run(seed).err()).collect();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(failures_of(thread))).collect();
        let failures: Vec<Vec<Failure>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        failures.iter().flatten().map(Failure::to_string).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Seeds of worlds in which some kinds of faults are frequent.
const SWARM_SEEDS: u64 = 500;

#[test]
fn every_invariant_holds_when_some_kinds_of_faults_are_frequent() {
    let failures: Vec<_> =
        (0..SWARM_SEEDS).filter_map(|seed| run_swarm(seed).err()).map(|error| error.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn seeds_that_found_faults_pass() {
    let lines = include_str!("../regressions.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let seed = line.split_whitespace().next().unwrap().parse().unwrap();
        run(seed).map_err(|failure| failure.to_string()).unwrap();
    }
}

#[test]
fn the_same_seed_has_the_same_events_and_digest_and_another_seed_does_not() {
    let mut digests = BTreeSet::new();
    for seed in 0..20 {
        let (first, second) = (run(seed).unwrap(), run(seed).unwrap());
        assert_eq!(first.events, second.events, "seed {seed}");
        assert_eq!(first.events.digest(), second.events.digest(), "seed {seed}");
        assert!(digests.insert(first.events.digest()), "seed {seed} has the digest of an earlier seed");
    }
}

#[test]
fn the_digest_does_not_depend_on_the_texts_of_the_product() {
    let digest = |reason: &str| {
        let mut hash = Hash::default();
        Event::Rejected { from: Lsn(7), reason: reason.to_owned() }.fold(&mut hash);
        Event::StreamEnded { edge: 1, cause: StreamEnd::Violation(reason.to_owned()) }.fold(&mut hash);
        format!("{hash:?}")
    };
    assert_eq!(digest("the disk is full"), digest("no space left"));
}
