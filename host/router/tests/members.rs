//! Tests where writes are sent in a region with several members: to the leader, as far as probes show.

use littoral_router::{
    Topology,
    decision::{
        Moment,
        fleet::Fleet,
        health::{self, Finding, State},
        outlier,
        reason::Kind,
        select::{Criteria, Purpose, decide},
    },
};
use std::{sync::Arc, time::Duration};

const REGION: &str = r#"
role = "topology"
name = "members"
pattern = "active_active"
[[regions]]
name = "eu"
latitude = 0.0
longitude = 0.0
members = [
  { name = "m1", door = "m1:1", peer = "m1:2" },
  { name = "m2", door = "m2:1", peer = "m2:2" },
  { name = "m3", door = "m3:1", peer = "m3:2" },
]
edges = [{ name = "e1", door = "e1:1" }]
"#;

struct Fixture(Fleet);

impl Fixture {
    /// All were probed once: `m1` leads in epoch 4, the others follow.
    fn new() -> Self {
        let topology = Arc::new(Topology::parse(REGION).unwrap());
        let mut fixture = Self(Fleet::new(topology, health::Config::default(), outlier::Config::default()));
        fixture.finds("m1", leads(4));
        ["m2", "m3", "e1"].into_iter().for_each(|name| fixture.finds(name, FORWARDS));
        fixture
    }

    fn finds(&mut self, name: &str, finding: Finding) {
        let id = self.0.doors().find(|door| door.name == name).unwrap().id;
        self.0.probed(id, finding, None, Duration::ZERO);
    }

    /// Returns the doors for a purpose, in order, and whether the choice is a last resort.
    fn chosen(&self, purpose: Purpose, in_flight: impl Fn(&str) -> u32) -> (Vec<String>, bool) {
        let view = self.0.view(Moment::ZERO);
        let name = |door: usize| view.doors[door].door.name.clone();
        let criteria = Criteria { purpose, place: None, tenant: None, in_flight_max: 8, limit: 9, dice: 1 };
        let decision = decide(&view, &criteria, |door| in_flight(&name(door)));
        let names = decision.ranked.iter().map(|ranked| name(ranked.door)).collect();
        (names, matches!(decision.reason.kind, Kind::Panic(_)))
    }

    fn writes(&self) -> (Vec<String>, bool) {
        self.chosen(Purpose::Write, |_| 0)
    }
}

const FORWARDS: Finding = Finding::Good { writable: true, leads: None };
const WAITS: Finding = Finding::Good { writable: false, leads: None };

fn leads(epoch: u64) -> Finding {
    Finding::Good { writable: true, leads: Some(epoch) }
}

#[test]
fn writes_go_to_the_leader_then_to_members_that_forward_them_and_reads_to_edges() {
    let fixture = Fixture::new();
    assert_eq!(fixture.writes(), (["m1", "m2", "m3", "e1"].map(str::to_owned).to_vec(), false));
    assert_eq!(fixture.chosen(Purpose::Read, |_| 0).0, ["e1"]);
    let busy = fixture.chosen(Purpose::Write, |name| if name == "m2" { 5 } else { 0 }).0;
    assert_eq!(busy, ["m1", "m3", "m2", "e1"], "of the members that forward, the least busy first");
    let full = fixture.chosen(Purpose::Write, |name| if name == "m1" { 8 } else { 0 }).0;
    assert_eq!(full, ["m2", "m3", "e1", "m1"]);
}

#[test]
fn the_newest_epoch_counts_when_two_members_report_that_they_lead() {
    let mut fixture = Fixture::new();
    fixture.finds("m3", leads(5));
    assert_eq!(fixture.writes().0[..2], ["m3", "m1"], "m1's epoch is older");
    fixture.finds("m1", FORWARDS);
    fixture.finds("m3", leads(4));
    assert_eq!(fixture.writes().0[0], "m3");
}

#[test]
fn without_a_leader_writes_go_to_members_that_forward_and_then_to_healthy_ones() {
    let mut fixture = Fixture::new();
    fixture.finds("m1", Finding::Unreachable);
    assert_eq!(fixture.0.view(Moment::ZERO).doors[0].state, State::Healthy, "one probe does not take it out");
    assert_eq!(fixture.writes(), (["m2", "m3", "e1"].map(str::to_owned).to_vec(), false), "it gets no writes yet");
    fixture.finds("m1", Finding::Unreachable);
    ["m2", "m3", "e1"].into_iter().for_each(|name| fixture.finds(name, WAITS));
    let (chosen, for_want_of_better) = fixture.writes();
    assert_eq!((chosen.last().unwrap().as_str(), for_want_of_better), ("m1", true), "{chosen:?}");
    assert_eq!(chosen[..2], ["m2", "m3"], "followers wait for a leader: {chosen:?}");
    fixture.finds("m2", leads(5));
    assert_eq!(fixture.writes(), (vec!["m2".to_owned()], false));
}

#[test]
fn a_member_that_leads_is_never_ejected_for_failing_requests() {
    let mut fixture = Fixture::new();
    let id = fixture.0.doors().find(|door| door.name == "m1").unwrap().id;
    for _ in 0..100 {
        fixture.0.recorded(id, outlier::Outcome::Failure, Duration::from_secs(1));
    }
    assert!(fixture.0.view(Duration::from_secs(1)).doors[0].usable);
}
