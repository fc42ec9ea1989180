//! The replica's table under random schedules: the applier, fills, readers, eviction and changes of the catalogue.

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

/// What one thread of a model does.
type Part = Box<dyn FnOnce(&Region) + Send>;

/// Runs each of these as a thread and waits for all.
fn together(region: &Arc<Region>, parts: Vec<Part>) {
    let threads: Vec<_> = parts
        .into_iter()
        .map(|part| {
            let region = region.clone();
            thread::spawn(move || part(&region))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread of the model ends well"));
}

fn part(run: impl FnOnce(&Region) + Send + 'static) -> Part {
    Box::new(run)
}

/// A leader that commits, an edge that follows, two fills, a reader; nothing is evicted.
fn fills_against_the_feed() {
    let region = Region::new(&LOG, Residency::Resident, Some(1 << 20));
    together(
        &region,
        vec![
            part(Region::commit_all),
            part(|region| region.follow(Mode::UpdateHeld)),
            part(|region| {
                region.fill(0);
            }),
            part(|region| {
                region.fill(1);
                region.fill(0);
            }),
            part(|region| (0..4).for_each(|_| region.read(0))),
        ],
    );
    region.equals_the_leader();
    region.counts_are_exact();
}

#[test]
fn a_fill_never_undoes_what_the_feed_has_brought() {
    explore(10_000, 3, fills_against_the_feed);
}

#[test]
fn without_the_stripes_check_the_lost_update_is_found() {
    without_the_check(|| assert!(finds_a_fault(1_500, 3, fills_against_the_feed), "the model misses the lost update"));
    fills_against_the_feed_once_more();
}

/// The check is on again afterwards, or the test above would have proven nothing about the one before it.
fn fills_against_the_feed_once_more() {
    shuttle::check_random(fills_against_the_feed, 100);
}

#[test]
fn a_fill_that_is_overtaken_asks_again_and_ends() {
    explore(8_000, 3, || {
        let region = Region::new(&LOG, Residency::Resident, Some(1 << 20));
        together(
            &region,
            vec![
                part(Region::commit_all),
                part(|region| region.follow(Mode::UpdateHeld)),
                part(|region| {
                    let asked = region.fill(0);
                    // Each further question has a further record to thank for.
                    assert!(asked <= LOG.len() + 1, "asked {asked} times");
                }),
            ],
        );
        region.equals_the_leader();
    });
}

#[test]
fn eviction_at_any_time_loses_no_update_and_keeps_the_counts() {
    explore(8_000, 3, || {
        // Room for about one row and moka's notes of it.
        let region = Region::new(&LOG, Residency::Resident, Some(400));
        together(
            &region,
            vec![
                part(Region::commit_all),
                part(|region| region.follow(Mode::UpdateHeld)),
                part(|region| {
                    region.fill(0);
                    region.fill(1);
                }),
                part(|region| {
                    region.fill(1);
                    region.fill(2);
                }),
                part(|region| {
                    region.read(0);
                    region.table.settle();
                    region.read(1);
                }),
            ],
        );
        region.equals_the_leader();
        region.counts_are_exact();
        region.table.settle();
        let bytes = region.table.counts(VIEW).bytes;
        assert!(bytes <= 400, "{bytes} bytes are held and none of them is known to the policy");
    });
}

#[test]
fn a_full_view_that_becomes_resident_is_evicted_to_its_budget() {
    explore(8_000, 3, || {
        let region = Region::new(&LOG, Residency::Full, Some(400));
        together(
            &region,
            vec![
                part(Region::commit_all),
                part(|region| region.follow(Mode::InsertAll)),
                part(|region| region.table.set_residency(VIEW, Residency::Resident)),
                part(|region| {
                    region.table.collect_tombstones(Hlc::new(1_000, 0));
                }),
                part(|region| {
                    region.fill(3);
                }),
            ],
        );
        region.equals_the_leader();
        region.counts_are_exact();
        region.table.settle();
        let bytes = region.table.counts(VIEW).bytes;
        assert!(bytes <= 400, "{bytes} bytes are held and the policy has not heard of some");
    });
}

#[test]
fn a_view_that_is_dropped_leaves_nothing_whatever_fills_are_out() {
    explore(8_000, 3, || {
        let region = Region::new(&LOG, Residency::Resident, Some(600));
        together(
            &region,
            vec![
                part(Region::commit_all),
                part(|region| {
                    // As the one task that follows the leader does: all records, then the change of the catalogue.
                    region.follow(Mode::UpdateHeld);
                    region.table.drop_view(VIEW);
                }),
                part(|region| {
                    region.fill(0);
                    region.fill(1);
                }),
                part(|region| {
                    region.fill(1);
                    region.fill(0);
                }),
                part(|region| {
                    region.table.collect_tombstones(Hlc::new(1_000, 0));
                }),
            ],
        );
        assert!(region.table.is_empty(), "{} rows of a view that was dropped", region.table.len());
        region.counts_are_exact();
        assert_eq!(region.table.residency(VIEW), None);
    });
}
