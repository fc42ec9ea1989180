//! Runs the decision core under seeded chaos: doors flap, become unreachable, fill up and return, regions change their
//! roles, and the invariants are checked after every decision. A failure names its seed; repeat it with
//! `LITTORAL_SEED=N cargo test -p littoral-router --test simulation`.

mod world;

use littoral_router::{
    decision::{
        Moment,
        dice::Dice,
        door::Kind,
        reason,
        select::{Criteria, Decision, Purpose, decide},
        view::View,
    },
    topology::Role,
};
use world::World;

/// The seeds of a normal run, and the decisions of each.
const SEEDS: u64 = 300;
const DECISIONS: usize = 400;

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("LITTORAL_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    }
}

#[test]
fn decisions_keep_their_invariants() {
    for seed in seeds() {
        let mut world = World::new(seed);
        for _ in 0..DECISIONS {
            world.step();
            let view = world.view();
            let criteria = world.criteria();
            let decision = decide(&view, &criteria, |door| world.in_flight(door));
            let again = decide(&view, &criteria, |door| world.in_flight(door));
            let facts =
                Facts { seed, now: world.now(), view: &view, criteria: &criteria, decision: &decision, world: &world };
            assert_eq!(decision, again, "{facts}: the same inputs give the same decision");
            facts.an_unhealthy_door_is_chosen_only_if_no_healthy_one_is_left();
            facts.a_restricted_tenant_never_leaves_its_regions();
            facts.a_draining_region_gets_no_new_requests();
            facts.a_door_without_data_or_of_another_region_is_never_chosen();
            facts.no_door_is_chosen_twice();
            facts.standby_regions_get_no_writes_and_are_last();
            facts.a_write_goes_to_a_leader_if_one_accepts_it();
            facts.a_write_goes_to_the_nearer_leader_while_its_edges_return();
            facts.of_several_that_report_that_they_lead_the_newest_is_first();
            facts.full_doors_are_last();
            facts.the_ejected_share_of_a_region_is_bounded_unless_another_stands_by();
            world.send(&view, &decision);
        }
    }
}

struct Facts<'a> {
    seed: u64,
    now: Moment,
    view: &'a View,
    criteria: &'a Criteria<'a>,
    decision: &'a Decision,
    world: &'a World,
}

impl std::fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} at {:?}: {:?} -> {:?}", self.seed, self.now, self.criteria, self.decision)
    }
}

impl Facts<'_> {
    fn is_panic(&self) -> bool {
        matches!(self.decision.reason.kind, reason::Kind::Panic(_))
    }

    fn allowed(&self, region: usize) -> bool {
        let pin = self.criteria.tenant.and_then(|tenant| self.view.pin(tenant));
        pin.is_none_or(|pin| pin.contains(&region))
    }

    /// Returns the doors that the request may be sent to now, computed in a simple way.
    fn healthy(&self) -> Vec<usize> {
        let writes = self.criteria.purpose == Purpose::Write;
        let mut healthy = Vec::new();
        for (index, region) in self.view.regions.iter().enumerate() {
            let role = if writes { region.role == Role::Active } else { region.role != Role::Draining };
            if !role || !self.allowed(index) {
                continue;
            }
            for (at, view) in self.view.doors.iter().enumerate() {
                let mine = view.door.region == region.name;
                let kind = writes || view.door.kind == Kind::Edge;
                if mine && kind && view.usable && (!writes || view.writable) {
                    healthy.push(at);
                }
            }
        }
        healthy
    }

    fn an_unhealthy_door_is_chosen_only_if_no_healthy_one_is_left(&self) {
        let healthy = self.healthy();
        assert_eq!(self.is_panic(), healthy.is_empty(), "{self}: healthy: {healthy:?}");
        if !self.is_panic() {
            assert!(self.decision.ranked.iter().all(|ranked| healthy.contains(&ranked.door)), "{self}");
            assert_eq!(self.decision.ranked.len(), healthy.len().min(self.criteria.limit), "{self}: none is missing");
        }
    }

    fn a_restricted_tenant_never_leaves_its_regions(&self) {
        assert!(self.decision.ranked.iter().all(|ranked| self.allowed(ranked.region)), "{self}");
    }

    fn a_draining_region_gets_no_new_requests(&self) {
        for ranked in &self.decision.ranked {
            assert_ne!(self.view.regions[ranked.region].role, Role::Draining, "{self}");
        }
    }

    fn a_door_without_data_or_of_another_region_is_never_chosen(&self) {
        use littoral_router::decision::health::State;
        for ranked in &self.decision.ranked {
            let state = self.view.doors[ranked.door].state;
            assert!(!matches!(state, State::Empty | State::WrongRegion), "{self}");
        }
    }

    fn no_door_is_chosen_twice(&self) {
        let mut doors: Vec<_> = self.decision.ranked.iter().map(|ranked| ranked.door).collect();
        doors.sort_unstable();
        doors.dedup();
        assert_eq!(doors.len(), self.decision.ranked.len(), "{self}");
    }

    fn standby_regions_get_no_writes_and_are_last(&self) {
        let standby = |at: &usize| self.view.regions[self.decision.ranked[*at].region].role == Role::Standby;
        let all: Vec<_> = (0..self.decision.ranked.len()).collect();
        if self.criteria.purpose == Purpose::Write {
            assert!(!all.iter().any(standby), "{self}");
        } else if !self.is_panic() {
            let room = |at: &usize| !self.is_full(self.decision.ranked[*at].door);
            let with_room: Vec<_> = all.into_iter().filter(room).collect();
            assert!(with_room.is_sorted_by_key(standby), "{self}");
        }
    }

    fn a_write_goes_to_a_leader_if_one_accepts_it(&self) {
        if self.criteria.purpose == Purpose::Write && !self.is_panic() {
            let leads = |at: &usize| self.view.doors[*at].leads.is_some() && !self.is_full(*at);
            let first = self.decision.ranked[0];
            // The other members of a region whose leader is busy forward the write to it.
            let busy = self.view.regions[first.region].leading.is_some_and(|leader| self.is_full(leader));
            assert!(leads(&first.door) || busy || !self.healthy().iter().any(leads), "{self}");
        }
    }

    fn a_write_goes_to_the_nearer_leader_while_its_edges_return(&self) {
        let all =
            decide(self.view, &Criteria { limit: usize::MAX, ..*self.criteria }, |door| self.world.in_flight(door));
        let Some(first) = all.ranked.first().filter(|_| self.criteria.purpose == Purpose::Write) else { return };
        for ranked in &all.ranked {
            let region = &self.view.regions[ranked.region];
            let has_room = self.world.in_flight(ranked.door) < self.criteria.in_flight_max;
            if region.leading == Some(ranked.door) && region.weight >= 1.0 && region.readable && has_room {
                assert!(first.cost_ms <= ranked.cost_ms, "{self}: {} is nearer and leads", region.name);
            }
        }
    }

    fn of_several_that_report_that_they_lead_the_newest_is_first(&self) {
        if self.criteria.purpose != Purpose::Write || self.is_panic() {
            return;
        }
        let epoch = |at: usize| self.view.doors[at].leads;
        for region in &self.view.regions {
            let led = |at: &usize| region.leaders.contains(at) && !self.is_full(*at);
            let mut leading = self.decision.ranked.iter().map(|ranked| ranked.door).filter(led);
            let known: Vec<_> = self.healthy().into_iter().filter(|at| region.leaders.contains(at)).collect();
            let newest = known.iter().filter_map(|at| epoch(*at)).max();
            let newest_is_full = known.iter().any(|at| epoch(*at) == newest && self.is_full(*at));
            if let Some(first) = leading.next()
                && !newest_is_full
            {
                assert_eq!(epoch(first), newest, "{self}");
            }
        }
    }

    fn full_doors_are_last(&self) {
        if !self.is_panic() {
            let full = |ranked: &littoral_router::decision::select::RankedDoor| self.is_full(ranked.door);
            assert!(self.decision.ranked.is_sorted_by_key(full), "{self}");
        }
    }

    fn is_full(&self, door: usize) -> bool {
        self.world.in_flight(door) >= self.criteria.in_flight_max
    }

    fn the_ejected_share_of_a_region_is_bounded_unless_another_stands_by(&self) {
        let (mut over, mut whole) = (Vec::new(), Vec::new());
        for region in &self.view.regions {
            let edges = &self.view.doors[region.edges.clone()];
            let ejected = edges.iter().filter(|view| view.ejected_for.is_some()).count();
            let is_whole = ejected <= self.world.ejected_max(edges.len());
            if is_whole {
                whole.push(region.name)
            } else {
                over.push(region.name)
            }
            assert!(is_whole || self.view.regions.len() > 1, "{self}: {ejected} of {} are ejected", edges.len());
        }
        assert!(over.is_empty() || !whole.is_empty(), "{self}: {over:?} are ejected, and no region stands by");
    }
}

#[test]
fn a_returning_door_gets_few_requests_at_first_and_finally_its_share() {
    let mut world = World::calm();
    let door = world.lose_and_bring_back_one_edge();
    let share = |world: &mut World| {
        let view = world.view();
        let hits = (0..4_000u64).filter(|nth| {
            let mut dice = Dice::new(*nth);
            let criteria = Criteria {
                purpose: Purpose::Read,
                place: None,
                tenant: None,
                in_flight_max: 1_000,
                limit: 1,
                dice: dice.roll(),
            };
            decide(&view, &criteria, |_| 0).ranked[0].door == door
        });
        hits.count() as f64 / 4_000.0
    };
    let first = share(&mut world);
    world.pass(std::time::Duration::from_secs(5));
    let middle = share(&mut world);
    world.pass(std::time::Duration::from_secs(6));
    let last = share(&mut world);
    assert!(first < 0.15, "{first}");
    assert!(first < middle && middle < last, "{first} {middle} {last}");
    assert!((last - 0.5).abs() < 0.05, "one of two: {last}");
}
