//! The replica's table under random schedules: the applier, fills, readers, eviction and catalogue changes.

use littoral_concurrency::{
    explore::{explore, finds_a_fault},
    region::{Region, VIEW, Write},
    replica::{Mode, Residency},
    without_the_check,
};
use littoral_model::hlc::Hlc;
use shuttle::thread;
use std::sync::Arc;

const LOG: [Write; 5] = [(0, true), (1, true), (0, false), (0, true), (1, false)];

/// One thread of a model.
type Actor = Box<dyn FnOnce(&Region) + Send>;

/// Runs these threads and waits for all.
fn together(region: &Arc<Region>, actors: Vec<Actor>) {
    let threads: Vec<_> = actors
        .into_iter()
        .map(|actor| {
            let region = region.clone();
            thread::spawn(move || actor(&region))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread of the model does not panic"));
}

fn actor(run: impl FnOnce(&Region) + Send + 'static) -> Actor {
    Box::new(run)
}

/// Returns an actor that requests two keys.
fn fills(first: u8, second: u8) -> Actor {
    actor(move |region| {
        region.fill(first);
        region.fill(second);
    })
}

/// Asserts that the edge is equal to the leader, and that the policy evicts every row beyond the budget of 400 bytes.
fn assert_within_budget(region: &Region) {
    region.equals_the_leader();
    region.counts_are_exact();
    region.table.settle();
    let bytes = region.table.counts(VIEW).bytes;
    assert!(bytes <= 400, "{bytes} bytes are held, and the policy lacks some");
}

/// A leader that commits, an edge that follows, two fills, a reader; nothing is evicted.
fn fills_against_the_feed() {
    let region = Region::new(&LOG, Residency::Resident, Some(1 << 20));
    together(
        &region,
        vec![
            actor(Region::commit_all),
            actor(|region| region.follow(Mode::UpdateHeld)),
            actor(|region| {
                region.fill(0);
            }),
            fills(1, 0),
            actor(|region| (0..4).for_each(|_| region.read(0))),
        ],
    );
    region.equals_the_leader();
    region.counts_are_exact();
}

#[test]
fn a_fill_never_undoes_a_record_of_the_feed() {
    explore(10_000, 3, fills_against_the_feed);
}

#[test]
fn without_the_stripes_check_the_lost_update_is_found() {
    without_the_check(|| assert!(finds_a_fault(1_500, 3, fills_against_the_feed), "the model misses the lost update"));
    fills_against_the_feed_with_the_check_again();
}

/// Checks that the rule is enabled again; otherwise the previous test would prove nothing.
fn fills_against_the_feed_with_the_check_again() {
    shuttle::check_random(fills_against_the_feed, 100);
}

#[test]
fn an_outdated_fill_is_requested_again_and_ends() {
    explore(8_000, 3, || {
        let region = Region::new(&LOG, Residency::Resident, Some(1 << 20));
        together(
            &region,
            vec![
                actor(Region::commit_all),
                actor(|region| region.follow(Mode::UpdateHeld)),
                actor(|region| {
                    let asked = region.fill(0);
                    // Each further request is due to a further record.
                    assert!(asked <= LOG.len() + 1, "{asked} requests");
                }),
            ],
        );
        region.equals_the_leader();
    });
}

#[test]
fn eviction_at_any_time_loses_no_update_and_keeps_the_counts() {
    explore(8_000, 3, || {
        // The budget holds about one row and moka's bookkeeping for it.
        let region = Region::new(&LOG, Residency::Resident, Some(400));
        together(
            &region,
            vec![
                actor(Region::commit_all),
                actor(|region| region.follow(Mode::UpdateHeld)),
                fills(0, 1),
                fills(1, 2),
                actor(|region| {
                    region.read(0);
                    region.table.settle();
                    region.read(1);
                }),
            ],
        );
        assert_within_budget(&region);
    });
}

#[test]
fn a_full_view_that_becomes_resident_is_evicted_to_its_budget() {
    explore(8_000, 3, || {
        let region = Region::new(&LOG, Residency::Full, Some(400));
        together(
            &region,
            vec![
                actor(Region::commit_all),
                actor(|region| region.follow(Mode::InsertAll)),
                actor(|region| region.table.set_residency(VIEW, Residency::Resident)),
                actor(|region| {
                    region.table.collect_tombstones(Hlc::new(1_000, 0));
                }),
                actor(|region| {
                    region.fill(3);
                }),
            ],
        );
        assert_within_budget(&region);
    });
}

#[test]
fn a_dropped_view_leaves_nothing_despite_fills_in_flight() {
    explore(8_000, 3, || {
        let region = Region::new(&LOG, Residency::Resident, Some(600));
        together(
            &region,
            vec![
                actor(Region::commit_all),
                actor(|region| {
                    // Like the task that follows the leader: all records, then the catalogue change.
                    region.follow(Mode::UpdateHeld);
                    region.table.drop_view(VIEW);
                }),
                fills(0, 1),
                fills(1, 0),
                actor(|region| {
                    region.table.collect_tombstones(Hlc::new(1_000, 0));
                }),
            ],
        );
        assert!(region.table.is_empty(), "{} rows of a view that was dropped", region.table.len());
        region.counts_are_exact();
        assert_eq!(region.table.residency(VIEW), None);
    });
}
