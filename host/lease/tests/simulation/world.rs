//! The world: everything that will happen, in the order of true time.

use crate::{
    clock::{LocalClock, Truth},
    invariants::Judge,
    node::{Happening, Node},
    register::Register,
    weather::{MS, SLOWEST, Weather, one_in},
};
use fastrand::Rng;
use littoral_lease::{
    Claim, StoreId, Tag,
    election::{Effect, Event},
};
use littoral_model::position::Epoch;
use std::{cmp::Reverse, collections::BinaryHeap};

/// For how long things go wrong.
const STORMY: Truth = 20_000 * MS;
/// For how long a leader must stay once all is well.
const CALM: Truth = 3_000 * MS;

pub struct World {
    rng: Rng,
    weather: Weather,
    now: Truth,
    queue: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    nodes: Vec<Node>,
    /// The shared store, then what each process sees where it is not mounted.
    registers: Vec<Register>,
    store_up: bool,
    judge: Judge,
    counts: Counts,
    tell: bool,
}

/// What has happened, in numbers.
#[derive(Debug, Default)]
pub struct Counts {
    pub acknowledged: u64,
    pub refused_after_lease: u64,
    pub leaderships: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused_after_lease += other.refused_after_lease;
        self.leaderships += other.leaderships;
    }
}

struct Entry {
    at: Truth,
    order: u64,
    what: What,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

enum What {
    /// To a process in this life.
    Node(usize, u64, Happening),
    /// A request reaches the store; the time is when it was sent.
    Store(usize, u64, Asked, Truth),
    Misfortune,
    /// A process that was stopped goes on, or one that was killed starts again, or is no longer cut off.
    Back(usize),
    StoreBack,
    Calm,
}

#[derive(Clone)]
enum Asked {
    Read(u64),
    Swap(u64, Option<Tag>, Claim),
}

impl World {
    pub fn new(seed: u64, tell: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weather = Weather::draw(&mut rng);
        let mut world = Self {
            rng,
            weather,
            now: 0,
            queue: BinaryHeap::new(),
            entries: 0,
            nodes: Vec::new(),
            registers: Vec::new(),
            store_up: true,
            judge: Judge::default(),
            counts: Counts::default(),
            tell,
        };
        world.registers = (0..=world.weather.nodes).map(Register::new).collect();
        for index in 0..world.weather.nodes {
            let node = world.born(index, 0, Epoch(0), None);
            world.nodes.push(node);
            world.started(index);
        }
        let first = world.rng.u64(..world.weather.misfortune_every_ms) * MS;
        world.put(first, What::Misfortune);
        world.put(STORMY, What::Calm);
        world
    }

    pub fn run(mut self) -> Result<Counts, String> {
        let timing = self.weather.timing;
        // Until the last late message is in, then the term, and a few looks and answers.
        let bound = SLOWEST * 2
            + (timing.wait(timing.term) * 11 / 10 + 4 * (timing.poll_every + timing.patience)).as_nanos() as u64;
        while let Some(Reverse(Entry { at, what, .. })) = self.queue.pop() {
            self.now = at;
            if at > STORMY + bound + CALM {
                break;
            }
            let at_ms = at as f64 / 1e6;
            self.happen(what).map_err(|broken| format!("at {at_ms:.3} ms: {broken}; {:?}", self.weather))?;
            let able = self.able();
            let judged = self.judge.at_most_one_may_acknowledge(&able).and_then(|()| match at > STORMY + bound {
                true => self.judge.somebody_leads(&able, at, STORMY),
                false => Ok(()),
            });
            judged.map_err(|broken| format!("at {at_ms:.3} ms: {broken}; {:?}", self.weather))?;
        }
        Ok(self.counts)
    }

    /// The processes that would acknowledge if they were asked now.
    fn able(&self) -> Vec<(usize, Epoch)> {
        let able = self.nodes.iter().enumerate().filter(|(_, node)| node.runs());
        able.filter_map(|(index, node)| Some((index, node.authority.epoch(node.clock.read(self.now)).ok()?))).collect()
    }

    fn happen(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Node(index, life, happening) => return self.node(index, life, happening),
            What::Store(index, life, asked, sent) => self.store(index, life, asked, sent),
            What::Misfortune => self.misfortune(),
            What::Back(index) => return self.back(index),
            What::StoreBack => self.store_up = true,
            What::Calm => {
                self.tell(|| "all is well".into());
                self.weather.calm();
                self.store_up = true;
                for index in 0..self.nodes.len() {
                    self.back(index)?;
                    self.tell_node(index, Event::Stand { floor: self.nodes[index].log_epoch });
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, index: usize, life: u64, happening: Happening) -> Result<(), String> {
        let node = &mut self.nodes[index];
        if node.life != life || !node.up {
            return Ok(());
        }
        if let Some(backlog) = &mut node.backlog {
            backlog.push(happening);
            return Ok(());
        }
        let local = node.clock.read(self.now);
        match happening {
            Happening::Timer(timer) if timer == node.timer => self.elect(index, Event::Timer),
            Happening::Timer(_) => Ok(()),
            Happening::Told(event) => {
                let event = node.guards_in(event);
                self.elect(index, event)
            }
            Happening::Append => {
                if let Ok(epoch) = node.authority.epoch(local) {
                    // The log of a region is fenced besides; here only the lease is judged.
                    node.log_epoch = node.log_epoch.max(epoch);
                    let durable = self.now + self.rng.u64(MS / 10..30 * MS);
                    self.put(durable, What::Node(index, life, Happening::Durable(epoch)));
                }
                let next = self.now + self.rng.u64(3 * MS..25 * MS);
                self.put(next, What::Node(index, life, Happening::Append));
                Ok(())
            }
            Happening::Durable(epoch) => {
                if node.authority.confirm(epoch, local).is_err() {
                    self.counts.refused_after_lease += 1;
                    return Ok(());
                }
                self.counts.acknowledged += 1;
                let life = node.life(index);
                self.judge.epochs_of_acknowledgements_never_go_back(life, epoch)
            }
        }
    }

    fn elect(&mut self, index: usize, event: Event) -> Result<(), String> {
        let mut effects = Vec::new();
        let local = self.nodes[index].clock.read(self.now);
        self.tell(|| format!("{index} at {local:?}: {event:?}"));
        self.nodes[index].election.on(event, local, &mut effects);
        for effect in effects {
            self.tell(|| format!("{index}   {effect:?}"));
            let node = &mut self.nodes[index];
            match node.guards_out(effect) {
                Effect::Lead { epoch, until } => {
                    node.authority.grant(epoch, until);
                    let life = node.life(index);
                    let begun = self.judge.an_epoch_is_one_unbroken_leadership(life, epoch, local, until)?;
                    self.counts.leaderships += u64::from(begun);
                }
                Effect::StepDown { epoch, .. } => {
                    node.authority.revoke();
                    self.judge.ended(epoch);
                }
                Effect::Follow { .. } => {}
                Effect::Read { request } => self.send(index, Asked::Read(request)),
                Effect::Swap { request, expected, claim } => self.send(index, Asked::Swap(request, expected, claim)),
            }
        }
        let node = &mut self.nodes[index];
        node.timer += 1;
        // An election that wants to be woken in the past has a fault; it gets its way, but time goes on.
        let at = node.clock.when(node.election.wake_at()).max(self.now + MS / 10);
        let (life, timer) = (node.life, node.timer);
        self.put(at, What::Node(index, life, Happening::Timer(timer)));
        Ok(())
    }

    fn send(&mut self, index: usize, asked: Asked) {
        let times = if one_in(&mut self.rng, self.weather.repeated) { 2 } else { 1 };
        for _ in 0..times {
            if self.nodes[index].cut_off || one_in(&mut self.rng, self.weather.requests_lost) {
                continue;
            }
            let at = self.now + self.weather.delay(&mut self.rng);
            self.put(at, What::Store(index, self.nodes[index].life, asked.clone(), self.now));
        }
    }

    fn store(&mut self, index: usize, life: u64, asked: Asked, sent: Truth) {
        let at = if self.nodes[index].unmounted { index + 1 } else { 0 };
        let answer = match asked {
            Asked::Read(request) => {
                let ago = if one_in(&mut self.rng, self.weather.stale_reads) { self.rng.usize(..4) } else { 0 };
                Event::Read { request, result: self.store_up.then(|| self.registers[at].read(self.now, ago)) }
            }
            Asked::Swap(request, expected, claim) => {
                // As for etcd: the store's own lease begins anew somewhere on the way, and is a second longer.
                let term = claim.term().as_nanos() as u64;
                let ttl = term.next_multiple_of(1_000 * MS) + 1_000 * MS;
                let ends = self.rng.u64(sent..=self.now) + ttl;
                let runs_out = (self.weather.store_ends_claims && !claim.released).then_some(ends);
                let there = self.store_up && runs_out.is_none_or(|at| at > self.now);
                Event::Swapped {
                    request,
                    result: there.then(|| self.registers[at].swap(expected.as_ref(), claim, runs_out)),
                }
            }
        };
        let times = if one_in(&mut self.rng, self.weather.repeated) { 2 } else { 1 };
        for _ in 0..times {
            if self.nodes[index].cut_off || one_in(&mut self.rng, self.weather.answers_lost) {
                continue;
            }
            let at = self.now + self.weather.delay(&mut self.rng);
            self.put(at, What::Node(index, life, Happening::Told(answer.clone())));
        }
    }

    fn misfortune(&mut self) {
        if self.now >= STORMY {
            return;
        }
        let index = self.rng.usize(..self.nodes.len());
        let back = self.now + self.rng.u64(10 * MS..4_000 * MS);
        let kind = self.rng.u8(..9);
        self.tell(|| format!("{index}: misfortune {kind}"));
        match kind {
            0 | 1 if self.nodes[index].runs() => {
                self.nodes[index].backlog = Some(Vec::new());
                self.put(back, What::Back(index));
            }
            2 if self.nodes[index].up => {
                let node = &mut self.nodes[index];
                (node.up, node.backlog) = (false, None);
                self.put(back, What::Back(index));
            }
            3 | 4 => {
                self.nodes[index].cut_off = true;
                self.put(back, What::Back(index));
            }
            5 => {
                self.store_up = false;
                self.put(back, What::StoreBack);
            }
            6 => {
                let drift = self.weather.drift_ppm(&mut self.rng);
                let now = self.now;
                let clock = &mut self.nodes[index].clock;
                clock.change(now, drift);
            }
            // One that has never used a store cannot tell.
            7 if self.nodes[index].identity.known().is_some() => {
                self.nodes[index].unmounted = true;
                self.put(back, What::Back(index));
            }
            _ => {
                let floor = self.nodes[index].log_epoch;
                self.tell_node(index, Event::Resign);
                self.put(back, What::Node(index, self.nodes[index].life, Happening::Told(Event::Stand { floor })));
            }
        }
        let next = self.now + self.rng.u64(1..=self.weather.misfortune_every_ms * 2) * MS;
        self.put(next, What::Misfortune);
    }

    fn back(&mut self, index: usize) -> Result<(), String> {
        (self.nodes[index].cut_off, self.nodes[index].unmounted) = (false, false);
        if !self.nodes[index].up {
            let Node { life, log_epoch, identity, .. } = &self.nodes[index];
            self.nodes[index] = self.born(index, life + 1, *log_epoch, identity.known());
            self.started(index);
        }
        let Some(mut backlog) = self.nodes[index].backlog.take() else { return Ok(()) };
        self.tell(|| format!("{index}: goes on"));
        let life = self.nodes[index].life;
        // The worst order: what waits for its acknowledgement runs before what renews the lease.
        backlog.sort_by_key(|happening| !matches!(happening, Happening::Durable(_)));
        for happening in backlog {
            self.node(index, life, happening)?;
        }
        Ok(())
    }

    fn born(&mut self, index: usize, life: u64, log_epoch: Epoch, store: Option<StoreId>) -> Node {
        let drift = self.weather.drift_ppm(&mut self.rng);
        let clock = LocalClock::new(self.rng.u64(..1 << 40), self.now, drift);
        Node::new(index, life, self.weather.timing, clock, log_epoch, store)
    }

    fn started(&mut self, index: usize) {
        let floor = self.nodes[index].log_epoch;
        self.tell_node(index, Event::Stand { floor });
        self.put(self.now, What::Node(index, self.nodes[index].life, Happening::Append));
    }

    fn tell_node(&mut self, index: usize, event: Event) {
        self.put(self.now, What::Node(index, self.nodes[index].life, Happening::Told(event)));
    }

    fn put(&mut self, at: Truth, what: What) {
        self.entries += 1;
        self.queue.push(Reverse(Entry { at, order: self.entries, what }));
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tell {
            println!("{:>12.3} ms  {}", self.now as f64 / 1e6, what());
        }
    }
}
