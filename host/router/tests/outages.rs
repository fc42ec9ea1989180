//! Tests regions that fail as a whole under a steady load of reads, second by second. A read uses the gateway's order:
//! the doors of the decision, then doors that are not known to be healthy, then again after a pause. A failure names
//! its seed; repeat it with `LITTORAL_SEED=N cargo test -p littoral-router --test outages`.

use littoral_router::{
    Topology,
    decision::{
        Moment,
        attempts::Attempts,
        budget::{self, Budget},
        dice::Dice,
        door::DoorId,
        fleet::Fleet,
        health::{self, Finding, State},
        outlier::{self, Outcome},
        select::{Criteria, Purpose, decide, last_resort},
    },
    topology::Role,
};
use std::{collections::HashMap, fmt::Write as _, sync::Arc, time::Duration};

const SEEDS: u64 = 40;
const PROBE_EVERY: Duration = Duration::from_millis(500);
const READ_EVERY: Duration = Duration::from_millis(33);
const AGAIN_EVERY: Duration = Duration::from_millis(100);
const AGAIN_FOR: Duration = Duration::from_secs(3);

/// What a door does with a read. Its probes fail only when it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Healthy,
    Down,
    Draining,
    Resets,
    AnswersBadly,
    Overloaded,
}

struct World {
    fleet: Fleet,
    budget: Budget,
    dice: Dice,
    now: Moment,
    next_probe: Moment,
    truth: HashMap<DoorId, (Truth, Moment)>,
    /// Requests to each region since the last reset.
    sent: HashMap<String, u32>,
    attempts_max: u32,
}

/// Creates regions with these numbers of edges, the nearest first.
fn world(seed: u64, edges: &[usize]) -> World {
    let mut text = "role = \"topology\"\nname = \"t\"\npattern = \"active_active\"\n".to_owned();
    for (region, edges) in edges.iter().enumerate() {
        let doors: Vec<_> =
            (0..*edges).map(|at| format!("{{ name = \"e{at}\", door = \"r{region}e{at}:1\" }}")).collect();
        write!(text, "[[regions]]\nname = \"r{region}\"\nlatitude = 0.0\nlongitude = {}\n", region * 20).unwrap();
        writeln!(text, "edges = [{}]", doors.join(", ")).unwrap();
    }
    let topology = Arc::new(Topology::parse(&text).unwrap());
    let mut world = World {
        fleet: Fleet::new(topology, health::Config::default(), outlier::Config::default()),
        budget: Budget::new(&budget::Config::default()),
        dice: Dice::new(seed),
        now: Moment::from_secs(100),
        next_probe: Moment::ZERO,
        truth: HashMap::new(),
        sent: HashMap::new(),
        attempts_max: 3,
    };
    let doors: Vec<_> = world.fleet.doors().map(|door| door.id).collect();
    world.truth = doors.into_iter().map(|door| (door, (Truth::Healthy, Moment::ZERO))).collect();
    world.pass(Duration::from_secs(20));
    world
}

impl World {
    fn door(&self, region: usize, edge: usize) -> DoorId {
        let (region, edge) = (format!("r{region}"), format!("e{edge}"));
        self.fleet.doors().find(|door| door.region.as_str() == region && door.name == edge).unwrap().id
    }

    fn doors_of(&self, region: usize) -> Vec<DoorId> {
        let region = format!("r{region}");
        self.fleet.doors().filter(|door| door.region.as_str() == region).map(|door| door.id).collect()
    }

    fn becomes(&mut self, door: DoorId, truth: Truth) {
        self.truth.insert(door, (truth, self.now));
    }

    fn region_becomes(&mut self, region: usize, truth: Truth) {
        self.doors_of(region).into_iter().for_each(|door| self.becomes(door, truth));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(50));
            self.fleet.returns(self.now);
            if self.now >= self.next_probe {
                self.next_probe = self.now + PROBE_EVERY;
                let doors: Vec<_> = self.truth.iter().map(|(door, (truth, _))| (*door, *truth)).collect();
                for (door, truth) in doors {
                    let finding = match truth {
                        Truth::Down => Finding::Unreachable,
                        Truth::Draining => Finding::Draining,
                        _ => Finding::Good { writable: true, leads: None },
                    };
                    self.fleet.probed(door, finding, Some(Duration::from_millis(1)), self.now);
                }
            }
        }
    }

    /// Performs one read from the first region's location. Returns true if it was answered.
    fn read(&mut self) -> bool {
        self.pass(READ_EVERY);
        self.budget.deposit();
        let (began, mut attempts) = (self.now, Attempts::new(self.attempts_max));
        let place = self.fleet.topology().regions[0].coordinates();
        let dice = self.dice.roll();
        let mut criteria =
            Criteria { purpose: Purpose::Read, place: Some(place), tenant: None, in_flight_max: 1_000, limit: 8, dice };
        loop {
            let view = self.fleet.view(self.now);
            let decided = decide(&view, &criteria, |_| 0).ranked;
            for ranked in [decided, last_resort(&view, &criteria)] {
                let doors: Vec<_> = ranked.iter().map(|at| view.doors[at.door].door.clone()).collect();
                while let Some(next) = attempts.next(doors.iter().map(|door| &**door), None) {
                    let door = &doors[next];
                    attempts.begin(door);
                    *self.sent.entry(door.region.to_string()).or_default() += 1;
                    let outcome = match self.truth[&door.id].0 {
                        Truth::Healthy | Truth::Draining => Outcome::Success,
                        Truth::Down => Outcome::Unreached,
                        Truth::Resets => Outcome::Lost,
                        Truth::AnswersBadly => Outcome::Failure,
                        Truth::Overloaded => Outcome::Rejected,
                    };
                    self.fleet.recorded(door.id, outcome, self.now);
                    if outcome == Outcome::Success {
                        return true;
                    }
                    if outcome == Outcome::Unreached {
                        attempts.unreached(door.id);
                    } else if self.fleet.may_receive(door.id, self.now) && !self.budget.withdraw() {
                        return false;
                    }
                }
            }
            if self.now >= began + AGAIN_FOR {
                return false;
            }
            self.pass(AGAIN_EVERY);
            attempts.again();
            criteria.limit = usize::MAX;
        }
    }

    /// Performs `count` reads and returns how many failed.
    fn reads(&mut self, count: usize) -> usize {
        (0..count).filter(|_| !self.read()).count()
    }

    /// Performs reads for a number of seconds. Returns how many failed, and the share that was sent to the first
    /// region.
    fn reads_for(&mut self, seconds: u64) -> (usize, f64) {
        self.sent.clear();
        let (end, mut all, mut failed) = (self.now + Duration::from_secs(seconds), 0u32, 0);
        while self.now < end {
            all += 1;
            failed += usize::from(!self.read());
        }
        (failed, f64::from(self.sent.get("r0").copied().unwrap_or_default()) / f64::from(all))
    }

    /// Returns whether a region could have answered every read for a while: its doors are healthy, and probes have
    /// shown it.
    fn has_a_healthy_region(&self) -> bool {
        let settled = Duration::from_secs(2);
        let well = |door: &DoorId| {
            let (truth, since) = self.truth[door];
            truth == Truth::Healthy && self.now >= since + settled
        };
        let regions = self.fleet.topology().regions.len();
        (0..regions).any(|region| {
            let role = self.fleet.topology().regions[region].role;
            role != Role::Draining && self.doors_of(region).iter().all(well)
        })
    }
}

#[test]
fn no_read_fails_while_a_healthy_region_stands_by_and_the_failing_one_gets_few() {
    for bad in [Truth::AnswersBadly, Truth::Resets, Truth::Overloaded, Truth::Down] {
        for edges in [&[1, 1][..], &[2, 1], &[3, 1, 1], &[4, 2]] {
            let mut world = world(1, edges);
            world.region_becomes(0, bad);
            assert_eq!(world.reads_for(15).0, 0, "{bad:?} {edges:?}");
            let (failed, share) = world.reads_for(120);
            assert_eq!(failed, 0, "{bad:?} {edges:?}");
            assert!(share < 0.1, "{bad:?} {edges:?}: {share} of the requests went to the failing region");
        }
    }
}

/// Returns a world whose near region failed for some seconds and is healthy again. No read has failed, because another
/// region was healthy.
fn after(trouble: Truth, seconds: u64) -> World {
    let mut world = world(1, &[2, 1]);
    world.region_becomes(0, trouble);
    assert_eq!(world.reads_for(seconds).0, 0);
    world.region_becomes(0, Truth::Healthy);
    world
}

#[test]
fn an_ejected_region_returns_gradually() {
    let mut world = after(Truth::AnswersBadly, 30);
    let mut shares = Vec::new();
    for _ in 0..80 {
        let (failed, share) = world.reads_for(1);
        assert_eq!(failed, 0);
        shares.push(share);
    }
    let first = shares.iter().position(|share| *share > 0.0).unwrap();
    assert!(shares[first] < 0.4, "few at first: {shares:?}");
    assert!(shares[first..].windows(2).all(|pair| pair[1] - pair[0] < 0.4), "no jump: {shares:?}");
    assert!(shares.ends_with(&[1.0; 5]), "all in the end: {shares:?}");
}

#[test]
fn an_outage_of_connections_ends_with_the_outage() {
    let mut world = after(Truth::Down, 60);
    assert_eq!(world.reads_for(2).0, 0);
    let view = world.fleet.view(world.now);
    assert!(view.regions[0].readable, "two probes after its return: {:?}", view.doors);
}

#[test]
fn the_last_region_is_never_ejected_and_receives_requests() {
    let mut world = world(1, &[2, 2]);
    (0..2).for_each(|region| world.region_becomes(region, Truth::AnswersBadly));
    world.reads(200);
    let view = world.fleet.view(world.now);
    assert!(view.doors.iter().any(|view| view.usable), "{:?}", view.doors);
    (0..2).for_each(|region| world.region_becomes(region, Truth::Healthy));
    assert_eq!(world.reads(200), 0, "a returned door receives requests");
}

#[test]
fn an_ejected_door_is_better_than_one_that_refuses_connections() {
    let mut world = world(1, &[2]);
    let (one, other) = (world.door(0, 0), world.door(0, 1));
    world.becomes(one, Truth::AnswersBadly);
    while world.fleet.may_receive(one, world.now) {
        assert!(world.read());
    }
    world.becomes(one, Truth::Healthy);
    world.becomes(other, Truth::Down);
    assert!(!world.fleet.may_receive(one, world.now), "it is still ejected");
    assert_eq!(world.reads(30), 0);
}

#[test]
fn doors_that_restart_one_after_the_other_fail_no_read() {
    for (gone, drains) in [(100, false), (400, false), (1_200, false), (400, true)] {
        for edges in [&[2][..], &[1, 1], &[3, 2]] {
            let mut world = world(gone, edges);
            let doors: Vec<_> = world.fleet.doors().map(|door| door.id).collect();
            for (round, door) in doors.iter().cycle().take(60).enumerate() {
                let reads_for = |world: &mut World, ms: u64| {
                    let end = world.now + Duration::from_millis(ms);
                    while world.now < end {
                        assert!(world.read(), "{edges:?}: down for {gone} ms, drains {drains}, round {round}");
                    }
                };
                if drains {
                    world.becomes(*door, Truth::Draining);
                    reads_for(&mut world, 2_000);
                }
                world.becomes(*door, Truth::Down);
                reads_for(&mut world, gone);
                // The next door restarts at once: the state of this one is outdated.
                world.becomes(*door, Truth::Healthy);
            }
            world.pass(Duration::from_millis(1_500));
            let view = world.fleet.view(world.now);
            assert!(view.doors.iter().all(|view| view.usable), "no ejection outlasts its outage: {view:?}");
        }
    }
}

#[test]
fn reads_fail_only_when_no_healthy_region_could_be_reached() {
    let only = std::env::var("LITTORAL_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let mut dice = Dice::new(seed ^ 0xabcd);
        let edges: Vec<_> = (0..2 + dice.roll() % 3).map(|_| 1 + dice.roll() as usize % 3).collect();
        let mut world = world(seed, &edges);
        let mut next = world.now;
        for nth in 0..6_000 {
            if world.now >= next {
                next = world.now + Duration::from_secs(3 + dice.roll() % 20);
                let truths = [
                    Truth::Healthy,
                    Truth::Down,
                    Truth::Resets,
                    Truth::AnswersBadly,
                    Truth::Overloaded,
                    Truth::Draining,
                ];
                let truth = truths[dice.roll() as usize % truths.len()];
                let region = dice.roll() as usize % edges.len();
                match dice.roll() % 3 {
                    0 => world.region_becomes(region, truth),
                    1 => {
                        let door = world.door(region, dice.roll() as usize % edges[region]);
                        world.becomes(door, truth);
                    }
                    _ => world.region_becomes(region, Truth::Healthy),
                }
            }
            let healthy = world.has_a_healthy_region();
            let answered = world.read();
            let truth: Vec<_> = world.fleet.doors().map(|door| (door.region, world.truth[&door.id].0)).collect();
            assert!(answered || !healthy, "seed {seed}, read {nth} at {:?}: {truth:?}", world.now);
            let view = world.fleet.view(world.now);
            let in_place = view.doors.iter().filter(|view| view.ejected_for.is_none()).count();
            assert!(in_place > 0, "seed {seed}, read {nth}: every door is ejected");
            assert!(view.doors.iter().all(|view| view.state != State::Unknown));
        }
    }
}
