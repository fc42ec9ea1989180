//! A world in which doors flap, lag, fill up and become unreachable while time passes: everything from one seed.

use littoral_router::{
    Topology,
    decision::{
        Moment,
        coordinates::Coordinates,
        dice::Dice,
        door::{DoorId, Kind},
        fleet::Fleet,
        health::{self, Finding},
        outlier::{self, Outcome},
        select::{Criteria, Decision, Purpose},
        view::View,
    },
    topology::{Edge, Member, Objectives, Pattern, Region, Role, Tenant},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

const TENANTS: [&str; 3] = ["free", "pinned", "narrow"];

/// The true state of a door, which the router must find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Well,
    Down,
    Lagging,
    Empty,
    Draining,
    Elsewhere,
    /// Its probes succeed and its requests fail.
    Lying,
}

/// The world.
pub struct World {
    dice: Dice,
    now: Moment,
    fleet: Fleet,
    outlier: outlier::Config,
    truth: HashMap<DoorId, Truth>,
    load: Vec<u32>,
    tenant: usize,
}

impl World {
    /// Creates a world of a few regions with a few edges each.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let regions = 1 + dice.roll() as usize % 6;
        let region = |index: usize, dice: &mut Dice| Region {
            name: format!("r{index}").parse().unwrap(),
            latitude: dice.share() * 160.0 - 80.0,
            longitude: dice.share() * 340.0 - 170.0,
            role: Role::Active,
            weight: 100,
            leader: None,
            peer: None,
            members: Vec::new(),
            edges: (0..=dice.roll() % 4).map(|edge| edge_of(index, edge as usize)).collect(),
        };
        let mut regions: Vec<_> = (0..regions).map(|index| region(index, &mut dice)).collect();
        for (index, region) in regions.iter_mut().enumerate() {
            match dice.roll() % 4 {
                0 => region.leader = Some(format!("r{index}:1")),
                1 => region.members = (0..2 + dice.roll() % 3).map(|member| member_of(index, member)).collect(),
                _ => {}
            }
        }
        Self::of(dice, regions)
    }

    /// Creates one region with two healthy edges.
    pub fn calm() -> Self {
        let region = Region {
            name: "r0".parse().unwrap(),
            latitude: 0.0,
            longitude: 0.0,
            role: Role::Active,
            weight: 100,
            leader: None,
            peer: None,
            members: Vec::new(),
            edges: vec![edge_of(0, 0), edge_of(0, 1)],
        };
        let mut world = Self::of(Dice::new(0), vec![region]);
        for _ in 0..3 {
            world.probe_all();
        }
        world
    }

    fn of(dice: Dice, regions: Vec<Region>) -> Self {
        let names: Vec<_> = regions.iter().map(|region| region.name).collect();
        let tenants = vec![
            Tenant { name: TENANTS[1].to_owned(), regions: names.iter().copied().step_by(2).collect() },
            Tenant { name: TENANTS[2].to_owned(), regions: names.iter().copied().take(1).collect() },
        ];
        let topology = Topology {
            role: "topology".to_owned(),
            name: "world".to_owned(),
            pattern: Pattern::ActiveActive,
            objectives: Objectives::default(),
            regions,
            links: Vec::new(),
            tenants,
        };
        topology.check().unwrap();
        let outlier = outlier::Config::default();
        let fleet = Fleet::new(Arc::new(topology), health::Config::default(), outlier.clone());
        let truth = fleet.doors().map(|door| (door.id, Truth::Well)).collect();
        let load = vec![0; fleet.doors().count()];
        Self { dice, now: Moment::from_secs(1), fleet, outlier, truth, load, tenant: 0 }
    }

    /// Advances the time, and causes one event.
    pub fn step(&mut self) {
        let passes = Duration::from_millis(self.dice.roll() % 400);
        self.pass(passes);
        match self.dice.roll() % 12 {
            0 | 1 => {
                let door = self.any_door();
                let truths =
                    [Truth::Down, Truth::Lagging, Truth::Empty, Truth::Draining, Truth::Elsewhere, Truth::Lying];
                self.truth.insert(door, truths[self.dice.roll() as usize % truths.len()]);
            }
            2 | 3 => {
                let door = self.any_door();
                self.truth.insert(door, Truth::Well);
            }
            4 => {
                // A partition: a region with all its doors becomes unreachable, or returns.
                let index = self.dice.roll() as usize % self.fleet.topology().regions.len();
                let name = self.fleet.topology().regions[index].name;
                let truth = if self.dice.roll().is_multiple_of(2) { Truth::Down } else { Truth::Well };
                let doors: Vec<_> = self.fleet.doors().filter(|door| door.region == name).map(|door| door.id).collect();
                doors.into_iter().for_each(|door| {
                    self.truth.insert(door, truth);
                });
            }
            5 => self.change_topology(),
            6 => {
                let at = self.dice.roll() as usize % self.load.len();
                self.load[at] = (self.dice.roll() % 12) as u32;
            }
            _ => self.probe_all(),
        }
        self.fleet.returns(self.now);
    }

    fn change_topology(&mut self) {
        let mut topology = Topology::clone(self.fleet.topology());
        let index = self.dice.roll() as usize % topology.regions.len();
        let region = &mut topology.regions[index];
        region.role = [Role::Active, Role::Active, Role::Standby, Role::Draining][self.dice.roll() as usize % 4];
        region.weight = [0, 10, 50, 100, 100][self.dice.roll() as usize % 5];
        if self.dice.roll().is_multiple_of(3) {
            // Adds or removes an edge.
            let edges = region.edges.len();
            if edges > 1 {
                region.edges.pop();
            } else {
                region.edges.push(edge_of(index, 10 + edges));
            }
        }
        topology.check().unwrap();
        self.fleet.adopt(Arc::new(topology), self.now);
        self.truth = self
            .fleet
            .doors()
            .map(|door| (door.id, self.truth.get(&door.id).copied().unwrap_or(Truth::Well)))
            .collect();
        self.load.resize(self.fleet.doors().count(), 0);
    }

    fn any_door(&mut self) -> DoorId {
        let doors: Vec<_> = self.fleet.doors().map(|door| door.id).collect();
        doors[self.dice.roll() as usize % doors.len()]
    }

    fn probe_all(&mut self) {
        let doors: Vec<_> = self.fleet.doors().map(|door| door.id).collect();
        let leaders = self.fleet.doors().filter(|door| door.kind == Kind::Leader);
        let leaders: HashSet<_> = leaders.map(|door| door.id).collect();
        for door in doors {
            let finding = match self.truth[&door] {
                Truth::Well | Truth::Lying => {
                    // Members are probed one after the other: none, one or several may report that they lead.
                    let leads = self.dice.roll().is_multiple_of(2).then(|| self.dice.roll() % 5);
                    let leads = leads.filter(|_| leaders.contains(&door));
                    Finding::Good { writable: !self.dice.roll().is_multiple_of(8), leads }
                }
                Truth::Down => Finding::Unreachable,
                Truth::Lagging => Finding::Lagging,
                Truth::Empty => Finding::Empty,
                Truth::Draining => Finding::Draining,
                Truth::Elsewhere => Finding::WrongRegion,
            };
            let took = (finding != Finding::Unreachable).then(|| Duration::from_micros(self.dice.roll() % 9_000));
            self.fleet.probed(door, finding, took, self.now);
        }
    }

    /// Sends requests as the router would: to the first door, and to the next if it fails.
    pub fn send(&mut self, view: &View, decision: &Decision) {
        for _ in 0..1 + self.dice.roll() % 6 {
            for ranked in &decision.ranked {
                let door = view.doors[ranked.door].door.id;
                let answers = matches!(self.truth.get(&door), Some(Truth::Well | Truth::Lagging | Truth::Draining));
                let failures = [Outcome::Failure, Outcome::Unreached, Outcome::Lost, Outcome::Rejected];
                let failure = failures[self.dice.roll() as usize % failures.len()];
                let outcome = if answers { Outcome::Success } else { failure };
                self.fleet.recorded(door, outcome, self.now);
                if answers {
                    break;
                }
            }
        }
    }

    /// Returns a decision's input, of any kind.
    pub fn criteria(&mut self) -> Criteria<'static> {
        self.tenant = self.dice.roll() as usize % (TENANTS.len() + 1);
        let purposes = [Purpose::Read, Purpose::Read, Purpose::Write, Purpose::Name];
        let place = Coordinates::new(self.dice.share() * 160.0 - 80.0, self.dice.share() * 340.0 - 170.0);
        Criteria {
            purpose: purposes[self.dice.roll() as usize % purposes.len()],
            place: place.ok().filter(|_| !self.dice.roll().is_multiple_of(5)),
            tenant: TENANTS.get(self.tenant).copied(),
            in_flight_max: 8,
            limit: 1 + self.dice.roll() as usize % 5,
            dice: self.dice.roll(),
        }
    }

    /// Removes one edge and adds it again; returns its index among the doors.
    pub fn lose_and_bring_back_one_edge(&mut self) -> usize {
        let door = self.fleet.doors().nth(1).unwrap().id;
        for truth in [Truth::Down, Truth::Well] {
            self.truth.insert(door, truth);
            for _ in 0..3 {
                self.probe_all();
            }
        }
        assert!(self.view().doors[1].usable);
        1
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub fn now(&self) -> Moment {
        self.now
    }

    pub fn view(&self) -> View {
        self.fleet.view(self.now)
    }

    pub fn in_flight(&self, door: usize) -> u32 {
        self.load.get(door).copied().unwrap_or_default()
    }

    pub fn ejected_max(&self, edges: usize) -> usize {
        self.outlier.ejected_max(edges)
    }
}

fn member_of(region: usize, member: u64) -> Member {
    let address = |port: u16| format!("r{region}m{member}:{port}");
    Member { name: format!("m{member}"), door: address(1), peer: address(2), zone: None }
}

fn edge_of(region: usize, edge: usize) -> Edge {
    Edge {
        name: format!("e{edge}"),
        door: format!("r{region}e{edge}:1"),
        weight: 1 + (edge % 3) as u16 * usize::from(region > 0) as u16,
        zone: None,
        addresses: Vec::new(),
    }
}
