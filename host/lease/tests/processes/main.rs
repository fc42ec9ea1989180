//! Real processes compete for one lease. They are killed, paused, and deprived of their store; two must never
//! acknowledge at the same time. The tests print the time from each loss to the next acknowledgement.
//!
//! The bounds on time are wide, because tests run on busy machines; run `lease-contender` alone on a machine to see the
//! times of the profiles.

#[path = "../support/mod.rs"]
mod support;

mod contenders;

use contenders::{Acknowledged, Contenders, Store, now};
use littoral_lease::Timing;
use littoral_provision::{etcd::Etcd, missing::require};
use support::s3::S3;

#[test]
fn a_directory_tolerates_kills_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let place = Store::new("directory", format!("dir:{}", dir.path().join("lease").display()));
    kills_and_stops(&place);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_tolerates_kills_and_stops() {
    let server = S3::start().await;
    let place = Store { environment: server.environment(), ..Store::new("s3", server.lease("eu")) };
    tokio::task::spawn_blocking(move || kills_and_stops(&place)).await.unwrap();
}

#[test]
fn etcd_tolerates_kills_and_stops_and_its_own_loss() {
    let Some(mut etcd) = require("etcd_tolerates_kills_and_stops_and_its_own_loss", Etcd::install_and_start()) else {
        return;
    };
    let at = |name: &str| Store::new("etcd", format!("etcd://{}/littoral/{name}", etcd.address));
    let (first, second) = (at("eu"), at("us"));
    kills_and_stops(&first);
    the_store_is_lost(&second, &mut etcd);
}

fn kills_and_stops(place: &Store) {
    for (profile, timing) in [("default", Timing::DEFAULT), ("aggressive", Timing::AGGRESSIVE)] {
        let mut contenders = Contenders::start(place, profile, 3);
        let first = contenders.next_acknowledged(now());
        for kill in 1..=3 {
            // Each kill is at another point between two renewals.
            std::thread::sleep(timing.renew_every * 3 + timing.renew_every * kill / 3);
            the_leader_is_killed(&mut contenders, place, profile);
        }
        the_leader_is_stopped_past_its_lease(&mut contenders, place, profile, timing);
        the_leader_shuts_down(&mut contenders, place, profile);
        let last = contenders.next_acknowledged(now());
        assert!(last.epoch > first.epoch + 3, "{first:?} .. {last:?}");
        contenders.check();
    }
}

fn the_leader_is_killed(contenders: &mut Contenders, place: &Store, profile: &str) {
    let leader = contenders.next_acknowledged(now()).by;
    let lost = now();
    contenders.kill(&leader);
    let next = contenders.next_acknowledged_after(&leader);
    println!("{} {profile}: killed, next acknowledgement after {:?}", place.name, next.at - lost);
    contenders.start_again(&leader);
}

fn the_leader_is_stopped_past_its_lease(contenders: &mut Contenders, place: &Store, profile: &str, timing: Timing) {
    let Acknowledged { by: leader, epoch, .. } = contenders.next_acknowledged(now());
    contenders.stop(&leader);
    let stopped = now();
    let next = contenders.next_acknowledged_after(&leader);
    println!("{} {profile}: stopped, next acknowledgement after {:?}", place.name, next.at - stopped);
    std::thread::sleep(timing.term / 2);
    let continued = now();
    contenders.resume(&leader);
    contenders.wait_until_fenced(&leader, epoch);
    let later = contenders.next_acknowledged(continued);
    assert!(later.epoch >= next.epoch, "{next:?} .. {later:?}");
    assert_eq!(contenders.acknowledged_in(epoch, stopped), 0, "a leader that was paused acknowledges after it resumes");
    contenders.check();
}

fn the_leader_shuts_down(contenders: &mut Contenders, place: &Store, profile: &str) {
    let leader = contenders.next_acknowledged(now()).by;
    let requested = now();
    contenders.end(&leader);
    let next = contenders.next_acknowledged_after(&leader);
    println!("{} {profile}: shut down, next acknowledgement after {:?}", place.name, next.at - requested);
    contenders.start_again(&leader);
}

fn the_store_is_lost(place: &Store, etcd: &mut Etcd) {
    for (profile, timing) in [("default", Timing::DEFAULT), ("aggressive", Timing::AGGRESSIVE)] {
        let contenders = Contenders::start(place, profile, 3);
        let before = contenders.next_acknowledged(now());
        etcd.kill();
        let lost = now();
        std::thread::sleep(timing.term * 2);
        let silent = contenders.acknowledged_since(lost + timing.term);
        assert_eq!(silent, 0, "acknowledged without a lease");
        etcd.start().unwrap();
        let back = now();
        let next = contenders.next_acknowledged(lost + timing.term);
        println!("{} {profile}: store back, next acknowledgement after {:?}", place.name, next.at.saturating_sub(back));
        assert!(next.epoch > before.epoch, "{before:?} .. {next:?}");
        contenders.check();
    }
}
