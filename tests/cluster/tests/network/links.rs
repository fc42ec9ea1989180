//! Tests how a link in user space affects the feed.

use crate::rig::{QUICK, Rig, WAIT_MAX};
use littoral_faults::{
    Link,
    link::{End, Side},
};
use littoral_provision::cluster::eventually;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// An edge that tolerates more silence than any test causes.
const TOLERANT: &str = "[edge]\nreconnect_ms_max = 200\n[edge.leader]\nsilence_timeout_ms = 20000\n";

#[test]
fn latency_and_jitter_are_in_the_staleness() {
    let (latency, jitter) = (ms(60), ms(40));
    let (rig, link, _runtime) = Rig::linked("latency and jitter", ("", TOLERANT));
    link.delay(latency, jitter);
    let begun = Instant::now();
    sleep(ms(4_000));
    let report = rig.watch.check(begun + ms(500));
    assert!(report.reported_median >= 2 * latency, "a round trip takes {:?}: {report}", 2 * latency);
    assert!(report.truly_behind_max >= latency, "the link delayed: {report}");
    // A jittery link is no faster than its slowest parcel, because TCP keeps order.
    rig.settles(2 * (latency + jitter));
    assert_eq!(link.accepted(), 1, "a slow network is not a lost one");
    link.delay(Duration::ZERO, Duration::ZERO);
    rig.converges(Duration::ZERO);
}

#[test]
fn a_stall_shorter_than_the_timeout_keeps_the_connection() {
    let (rig, link, _runtime) = Rig::linked("stalls", ("", TOLERANT));
    for side in [Side::Both, Side::ToClient, Side::ToTarget] {
        let stalled = Instant::now();
        link.hold(side);
        sleep(ms(2_000));
        let report = rig.watch.check(stalled);
        assert!(report.reported_max >= ms(1_600), "{side:?}: {report}");
        let behind = report.truly_behind_max >= ms(1_500);
        // When only pings stall, records arrive, but the edge cannot know that it is fresh.
        assert_eq!(behind, side != Side::ToTarget, "{side:?}: {report}");
        link.heal();
        rig.settles(Duration::ZERO);
    }
    assert_eq!(link.accepted(), 1, "the one connection has lasted");
    let report = rig.converges(Duration::ZERO);
    assert!(report.leader_lost > 0, "a silent leader is reported as lost: {report}");
}

#[test]
fn an_edge_survives_a_storm_of_resets() {
    let (rig, link, _runtime) = Rig::linked("reset storm", ("", QUICK));
    let mut chance = fastrand::Rng::with_seed(11);
    let (mut resets, mut refusals) = (0, 0);
    while resets < 20 {
        sleep(ms(30 + chance.u64(..200)));
        resets += link.reset();
        if resets % 5 == 4 {
            link.refuse();
            refusals += 1;
            sleep(ms(300));
            link.heal();
        }
    }
    rig.settles(Duration::ZERO);
    assert!(refusals > 0 && link.accepted() > 10, "{} connections, {refusals} refusals", link.accepted());
    rig.converges(Duration::ZERO);
}

/// Makes open connections half-open, and returns how many.
type Break = fn(&Link) -> usize;

#[test]
fn half_open_connections_are_noticed_and_closed() {
    let leader = "[feed]\nidle_timeout_ms = 1500\n";
    let edge = "[edge]\nreconnect_ms_max = 200\n[edge.leader]\nsilence_timeout_ms = 1000\n";
    let (rig, link, _runtime) = Rig::linked("half-open", (leader, edge));
    // If the edge receives nothing, it times out. If the leader receives nothing, it ends the feed with an error.
    let breaks: [(&str, Break); 4] = [
        ("nothing comes from the leader", |link| link.swallow(Side::ToClient)),
        ("nothing comes to the leader", |link| link.swallow(Side::ToTarget)),
        ("nothing comes either way", |link| link.swallow(Side::Both)),
        ("the leader's end is closed", |link| link.orphan(End::Client)),
    ];
    for (what, make_half_open) in breaks {
        let before = link.accepted();
        let broken = Instant::now();
        assert_eq!(make_half_open(&link), 1, "{what}");
        eventually("the edge reconnects", WAIT_MAX, || link.accepted() > before);
        let noticed = broken.elapsed();
        rig.settles(Duration::ZERO);
        eprintln!("half-open: {what}: noticed after {noticed:.1?}; {}", rig.watch.check(broken));
        // Connections that are not used any more must not count among those that break next.
        link_has_one(&link);
    }
    rig.converges(Duration::ZERO);
}

/// Waits until both ends have closed the half-open connections.
fn link_has_one(link: &Link) {
    eventually("no half-open connection remains", WAIT_MAX, || link.open() == 1);
}

#[test]
fn a_partition_ends_and_the_edge_catches_up() {
    let (rig, link, _runtime) = Rig::linked("partition", ("", QUICK));
    for side in [Side::Both, Side::ToClient, Side::ToTarget] {
        let partitioned = Instant::now();
        link.cut(side);
        // Longer than the silence timeout, so that the edge closes the connection and finds no other.
        sleep(ms(3_500));
        let report = rig.watch.check(partitioned);
        assert!(report.reported_max >= ms(3_000), "{side:?}: {report}");
        link.heal();
        rig.settles(Duration::ZERO);
    }
    let report = rig.converges(Duration::ZERO);
    assert!(report.truly_behind_max >= ms(3_000), "the partition took effect: {report}");
    assert!(report.leader_lost > 0, "{report}");
}
