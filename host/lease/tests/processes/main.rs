//! Real processes that stand for one lease, and are killed, stopped and left without their store: never do two
//! acknowledge. Prints how long it took from each loss to the next acknowledgement.
//!
//! Bounds on time are wide here, as tests run on busy machines; `lease-candidate` alone on a machine shows what the profiles
//! promise.

#[path = "../support/mod.rs"]
mod support;

mod candidates;

use candidates::{Acknowledged, Candidates, Place, now};
use littoral_lease::Timing;
use littoral_provision::{etcd::Etcd, missing::require};
use support::s3::S3;

#[test]
fn a_directory_bears_kills_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new("directory", format!("dir:{}", dir.path().join("lease").display()));
    kills_and_stops(&place);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_bears_kills_and_stops() {
    let server = S3::start().await;
    let place = Place { environment: server.environment(), ..Place::new("s3", server.lease("eu")) };
    tokio::task::spawn_blocking(move || kills_and_stops(&place)).await.unwrap();
}

#[test]
fn etcd_bears_kills_and_stops_and_its_own_loss() {
    let Some(mut etcd) = require("etcd_bears_kills_and_stops_and_its_own_loss", Etcd::install_and_start()) else {
        return;
    };
    let at = |name: &str| Place::new("etcd", format!("etcd://{}/littoral/{name}", etcd.address));
    let (first, second) = (at("eu"), at("us"));
    kills_and_stops(&first);
    the_store_is_lost(&second, &mut etcd);
}

fn kills_and_stops(place: &Place) {
    for (profile, timing) in [("default", Timing::DEFAULT), ("aggressive", Timing::AGGRESSIVE)] {
        let mut candidates = Candidates::start(place, profile, 3);
        let first = candidates.next_acknowledged(now());
        for kill in 1..=3 {
            // At another point between two renewals each time.
            std::thread::sleep(timing.renew_every * 3 + timing.renew_every * kill / 3);
            the_leader_is_killed(&mut candidates, place, profile);
        }
        the_leader_is_stopped_past_its_lease(&mut candidates, place, profile, timing);
        the_leader_ends_in_order(&mut candidates, place, profile);
        let last = candidates.next_acknowledged(now());
        assert!(last.epoch > first.epoch + 3, "{first:?} .. {last:?}");
        candidates.judge();
    }
}

fn the_leader_is_killed(candidates: &mut Candidates, place: &Place, profile: &str) {
    let leader = candidates.next_acknowledged(now()).by;
    let lost = now();
    candidates.kill(&leader);
    let next = candidates.next_acknowledged_after(&leader);
    println!("{} {profile}: killed, next acknowledgement after {:?}", place.name, next.at - lost);
    candidates.start_again(&leader);
}

fn the_leader_is_stopped_past_its_lease(candidates: &mut Candidates, place: &Place, profile: &str, timing: Timing) {
    let Acknowledged { by: leader, epoch, .. } = candidates.next_acknowledged(now());
    candidates.stop(&leader);
    let stopped = now();
    let next = candidates.next_acknowledged_after(&leader);
    println!("{} {profile}: stopped, next acknowledgement after {:?}", place.name, next.at - stopped);
    std::thread::sleep(timing.term / 2);
    let continued = now();
    candidates.go_on(&leader);
    candidates.wait_until_fenced(&leader, epoch);
    let later = candidates.next_acknowledged(continued);
    assert!(later.epoch >= next.epoch, "{next:?} .. {later:?}");
    assert_eq!(candidates.acknowledged_in(epoch, stopped), 0, "a leader that was stopped acknowledges when it goes on");
    candidates.judge();
}

fn the_leader_ends_in_order(candidates: &mut Candidates, place: &Place, profile: &str) {
    let leader = candidates.next_acknowledged(now()).by;
    let asked = now();
    candidates.end(&leader);
    let next = candidates.next_acknowledged_after(&leader);
    println!("{} {profile}: ended in order, next acknowledgement after {:?}", place.name, next.at - asked);
    candidates.start_again(&leader);
}

fn the_store_is_lost(place: &Place, etcd: &mut Etcd) {
    for (profile, timing) in [("default", Timing::DEFAULT), ("aggressive", Timing::AGGRESSIVE)] {
        let candidates = Candidates::start(place, profile, 3);
        let before = candidates.next_acknowledged(now());
        etcd.kill();
        let lost = now();
        std::thread::sleep(timing.term * 2);
        let silent = candidates.acknowledged_since(lost + timing.term);
        assert_eq!(silent, 0, "acknowledged without a lease");
        etcd.start().unwrap();
        let back = now();
        let next = candidates.next_acknowledged(lost + timing.term);
        println!("{} {profile}: store back, next acknowledgement after {:?}", place.name, next.at.saturating_sub(back));
        assert!(next.epoch > before.epoch, "{before:?} .. {next:?}");
        candidates.judge();
    }
}
