//! Where writes go in a region whose log several members keep: to the one that leads, as far as probes know.

use littoral_router::{
    Topology,
    decision::{
        Moment,
        fleet::Fleet,
        health::{self, Finding, State},
        outlier,
        reason::Kind,
        select::{Ask, Purpose, decide},
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

struct Stand(Fleet);

impl Stand {
    /// All were probed once: `m1` leads in epoch 4, the others follow.
    fn new() -> Self {
        let topology = Arc::new(Topology::parse(REGION).unwrap());
        let mut stand = Self(Fleet::new(topology, health::Config::default(), outlier::Config::default()));
        stand.finds("m1", leads(4));
        ["m2", "m3", "e1"].into_iter().for_each(|name| stand.finds(name, PASSES_ON));
        stand
    }

    fn finds(&mut self, name: &str, finding: Finding) {
        let id = self.0.doors().find(|door| door.name == name).unwrap().id;
        self.0.probed(id, finding, None, Duration::ZERO);
    }

    /// The doors for a purpose, in order, and whether the choice was made for want of a better one.
    fn asked(&self, purpose: Purpose, in_flight: impl Fn(&str) -> u32) -> (Vec<String>, bool) {
        let view = self.0.view(Moment::ZERO);
        let name = |member: usize| view.members[member].door.name.clone();
        let ask = Ask { purpose, place: None, tenant: None, in_flight_max: 8, limit: 9, dice: 1 };
        let decision = decide(&view, &ask, |member| in_flight(&name(member)));
        let names = decision.candidates.iter().map(|candidate| name(candidate.member)).collect();
        (names, matches!(decision.reason.kind, Kind::Panic(_)))
    }

    fn writes(&self) -> (Vec<String>, bool) {
        self.asked(Purpose::Write, |_| 0)
    }
}

const PASSES_ON: Finding = Finding::Good { writable: true, leads: None };
const WAITS: Finding = Finding::Good { writable: false, leads: None };

fn leads(epoch: u64) -> Finding {
    Finding::Good { writable: true, leads: Some(epoch) }
}

#[test]
fn writes_go_to_who_leads_then_to_those_that_pass_them_on_and_reads_to_edges() {
    let stand = Stand::new();
    assert_eq!(stand.writes(), (["m1", "m2", "m3", "e1"].map(str::to_owned).to_vec(), false));
    assert_eq!(stand.asked(Purpose::Read, |_| 0).0, ["e1"]);
    let busy = stand.asked(Purpose::Write, |name| if name == "m2" { 5 } else { 0 }).0;
    assert_eq!(busy, ["m1", "m3", "m2", "e1"], "of those that pass on, the least busy first");
    let full = stand.asked(Purpose::Write, |name| if name == "m1" { 8 } else { 0 }).0;
    assert_eq!(full, ["m2", "m3", "e1", "m1"]);
}

#[test]
fn the_newest_epoch_is_believed_when_two_say_that_they_lead() {
    let mut stand = Stand::new();
    stand.finds("m3", leads(5));
    assert_eq!(stand.writes().0[..2], ["m3", "m1"], "what m1 said is older");
    stand.finds("m1", PASSES_ON);
    stand.finds("m3", leads(4));
    assert_eq!(stand.writes().0[0], "m3");
}

#[test]
fn when_who_led_is_lost_others_that_pass_on_are_asked_and_when_nobody_does_those_that_are_well() {
    let mut stand = Stand::new();
    stand.finds("m1", Finding::Unreachable);
    assert_eq!(stand.0.view(Moment::ZERO).members[0].state, State::Healthy, "one probe does not take it out");
    assert_eq!(stand.writes(), (["m2", "m3", "e1"].map(str::to_owned).to_vec(), false), "it gets no writes yet");
    stand.finds("m1", Finding::Unreachable);
    ["m2", "m3", "e1"].into_iter().for_each(|name| stand.finds(name, WAITS));
    let (asked, for_want_of_better) = stand.writes();
    assert_eq!((asked.last().unwrap().as_str(), for_want_of_better), ("m1", true), "{asked:?}");
    assert_eq!(asked[..2], ["m2", "m3"], "followers wait until somebody leads: {asked:?}");
    stand.finds("m2", leads(5));
    assert_eq!(stand.writes(), (vec!["m2".to_owned()], false));
}

#[test]
fn a_member_that_leads_is_never_ejected_for_failing_requests() {
    let mut stand = Stand::new();
    let id = stand.0.doors().find(|door| door.name == "m1").unwrap().id;
    for _ in 0..100 {
        stand.0.recorded(id, outlier::Outcome::Failure, Duration::from_secs(1));
    }
    assert!(stand.0.view(Duration::from_secs(1)).members[0].usable);
}
