//! Which connection gets a place, and which one gives way.

use super::*;
use futures_util::FutureExt as _;
use std::time::Duration;

fn places(connections_max: usize, connections_per_address_max: usize) -> Places {
    let (header_timeout, write_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let drain = Duration::ZERO;
    Places::new(&Limits { connections_max, connections_per_address_max, header_timeout, write_timeout, drain })
}

fn client(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn has_given_way(place: &Place) -> bool {
    place.seat().gives_way().now_or_never().is_some()
}

#[test]
fn a_flood_of_idle_connections_competes_with_itself() {
    let places = places(10, 10);
    let good = places.enter(client(1), false);
    let flood: Vec<_> = (0..500).map(|_| places.enter(client(2), false)).collect();
    assert!(flood.iter().all(|place| !place.is_reserve()) && !has_given_way(&good));
    assert_eq!(flood.iter().filter(|place| has_given_way(place)).count(), 491);
    let late = places.enter(client(3), false);
    assert!(!late.is_reserve() && places.lock().all.len() == 10);
    drop((flood, late));
    assert_eq!(places.lock().all.len(), 1);
}

#[test]
fn an_address_at_its_bound_gives_way_to_itself_or_is_rejected_and_a_trusted_one_has_none() {
    let places = places(100, 2);
    let (first, second) = (places.enter(client(1), false), places.enter(client(1), false));
    let third = places.enter(client(1), false);
    assert!(has_given_way(&first) && !has_given_way(&second));
    let _running = [second.seat().begin().unwrap(), third.seat().begin().unwrap()];
    let probe = places.enter(client(1), false);
    assert!(probe.is_reserve() && places.lock().all.count(&probe.seat().group) == 2, "it may ask for the health");
    assert!(!places.enter(client(2), false).is_reserve(), "another address is not affected");
    let router: Vec<_> = (0..50).map(|_| places.enter(client(3), true)).collect();
    assert!(!router.iter().any(has_given_way));
}

#[test]
fn a_trusted_router_and_strangers_in_its_network_do_not_count_together() {
    let (places, address) = (places(100, 2), |last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
    let router: Vec<_> = (0..50).map(|_| places.enter(address(1), true)).collect();
    let strangers: Vec<_> = (2..4).map(|last| places.enter(address(last), false)).collect();
    assert!(!router.iter().chain(&strangers).any(has_given_way));
    let _third = places.enter(address(4), false);
    assert!(has_given_way(&strangers[0]) && !router.iter().any(has_given_way));
}

#[test]
fn all_networks_of_an_ipv6_site_count_as_one_client_and_so_do_both_forms_of_an_ipv4_address() {
    let places = places(10, 10);
    let good = places.enter("2001:db8:0:100::1".parse().unwrap(), false);
    // 256 networks of 64 bits, and an address of its own for each connection.
    let site = |nth: u16| IpAddr::from([0x2001, 0xdb8, 0, 0x200 + (nth & 0xff), 0, 0, 0, nth]);
    let flood: Vec<_> = (0..500).map(|nth| places.enter(site(nth), false)).collect();
    assert!(!has_given_way(&good) && flood.iter().filter(|place| has_given_way(place)).count() == 491);
    assert_eq!(places.lock().all.count(&flood[0].seat().group), 9);
    let [plain, mapped] =
        ["192.0.2.1", "::ffff:192.0.2.1"].map(|address| places.enter(address.parse().unwrap(), false));
    assert_eq!(plain.seat().group, mapped.seat().group);
    let loads = [&plain, &mapped].map(|place| place.seat().loads().address().cloned().unwrap());
    assert!(Arc::ptr_eq(&loads[0], &loads[1]), "requests count together, too");
}

#[test]
fn in_the_reserve_a_connection_gives_way_even_while_a_request_runs_on_it() {
    let places = places(1, 1);
    let busy = places.enter(client(1), false);
    let _running = busy.seat().begin().unwrap();
    let probes: Vec<_> = (0..RESERVE).map(|_| places.enter(client(2), false)).collect();
    let _probing: Vec<_> = probes.iter().map(|place| place.seat().begin().unwrap()).collect();
    let good = places.enter(client(3), false);
    assert!(good.is_reserve() && !has_given_way(&good) && !has_given_way(&busy));
    assert_eq!(probes.iter().filter(|place| has_given_way(place)).count(), 1);
}

#[test]
fn by_default_one_address_may_have_half_of_all_connections() {
    assert_eq!([Limits::per_address(0, 10), Limits::per_address(0, 1), Limits::per_address(3, 10)], [5, 1, 3]);
}

#[test]
fn while_requests_run_on_all_connections_newcomers_share_the_reserve() {
    let places = places(2, 2);
    let busy = [places.enter(client(1), false), places.enter(client(2), false)];
    let running: Vec<_> = busy.iter().map(|place| place.seat().begin().unwrap()).collect();
    let probe = places.enter(client(4), false);
    let flood: Vec<_> = (0..3 * RESERVE).map(|_| places.enter(client(3), false)).collect();
    assert!(flood.iter().all(Place::is_reserve) && probe.is_reserve());
    assert!(!has_given_way(&probe), "the reserve's heaviest client gives way, too");
    assert_eq!(flood.iter().filter(|place| has_given_way(place)).count(), 2 * RESERVE + 1);
    drop(running);
    let next = places.enter(client(5), false);
    assert!(!next.is_reserve() && busy.iter().filter(|place| has_given_way(place)).count() == 1);
}

#[test]
fn a_handshake_gives_way_when_too_many_run_and_no_longer_once_it_has_ended() {
    let places = places(1_000, 1_000);
    let good = places.enter(client(1), false);
    let of_good = good.handshake();
    let flood: Vec<_> = (0..300).map(|_| places.enter(client(2), false)).collect();
    let handshakes: Vec<_> = flood.iter().map(Place::handshake).collect();
    assert!(!has_given_way(&good));
    assert_eq!(flood.iter().filter(|place| has_given_way(place)).count(), 51, "a quarter of the places may run");
    drop((handshakes, of_good));
    let _more: Vec<_> = flood.iter().take(200).map(Place::handshake).collect();
    assert!(!flood.iter().any(has_given_way) && !has_given_way(&good));
}

#[test]
fn an_identity_has_the_bound_of_an_address_wherever_it_connects_from() {
    let places = places(100, 2);
    let connections: Vec<_> = (0..4).map(|last| places.enter(client(last), false)).collect();
    let first = [connections[0].identify("a").unwrap(), connections[1].identify("a").unwrap()];
    assert!(!connections.iter().any(has_given_way));
    let third = connections[2].identify("a").unwrap();
    assert!(has_given_way(&connections[0]) && !has_given_way(&connections[1]));
    let _running = [connections[1].seat().begin().unwrap(), connections[2].seat().begin().unwrap()];
    assert!(connections[3].identify("a").is_none(), "requests run on both");
    assert!(connections[3].identify("b").is_some(), "another identity is not affected");
    drop((first, third));
    assert_eq!(places.lock().identities.len(), 0);
}
