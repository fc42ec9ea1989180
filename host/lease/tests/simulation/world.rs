//! The simulation: a queue of future events, ordered by true time.

use crate::{
    clock::{LocalClock, Truth},
    conditions::{Conditions, MS, SLOWEST, one_in},
    invariants::Invariants,
    node::{Node, NodeEvent},
    register::Register,
};
use fastrand::Rng;
use littoral_lease::{
    Claim, StoreId, Tag,
    election::{Command, Event},
};
use littoral_model::position::Epoch;
use std::{cmp::Reverse, collections::BinaryHeap};

/// How long faults occur.
const FAULTS: Truth = 20_000 * MS;
/// How long a leader must keep leading after the faults have ended.
const CALM: Truth = 3_000 * MS;

pub struct World {
    rng: Rng,
    conditions: Conditions,
    now: Truth,
    queue: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    nodes: Vec<Node>,
    /// The shared store, then the one that each process reaches while that is not mounted.
    registers: Vec<Register>,
    store_up: bool,
    invariants: Invariants,
    counts: Counts,
    verbose: bool,
}

/// Statistics of a run.
#[derive(Debug, Default)]
pub struct Counts {
    pub acknowledged: u64,
    pub rejected_after_lease: u64,
    pub leaderships: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.rejected_after_lease += other.rejected_after_lease;
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
    /// An event at a process in this run of it.
    Node(usize, u64, NodeEvent),
    /// A request reaches the store; with the time at which it was sent.
    Store(usize, u64, Request, Truth),
    Fault,
    /// A paused process resumes, a killed one starts again, an isolated one is reconnected.
    Back(usize),
    StoreBack,
    Calm,
}

#[derive(Clone)]
enum Request {
    Read(u64),
    Swap(u64, Option<Tag>, Claim),
}

impl World {
    pub fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let conditions = Conditions::draw(&mut rng);
        let mut world = Self {
            rng,
            conditions,
            now: 0,
            queue: BinaryHeap::new(),
            entries: 0,
            nodes: Vec::new(),
            registers: Vec::new(),
            store_up: true,
            invariants: Invariants::default(),
            counts: Counts::default(),
            verbose,
        };
        world.registers = (0..=world.conditions.nodes).map(Register::new).collect();
        for index in 0..world.conditions.nodes {
            let node = world.create_node(index, 0, Epoch(0), None);
            world.nodes.push(node);
            world.start(index);
        }
        let first = world.rng.u64(..world.conditions.fault_every_ms) * MS;
        world.schedule(first, What::Fault);
        world.schedule(FAULTS, What::Calm);
        world
    }

    pub fn run(mut self) -> Result<Counts, String> {
        let timing = self.conditions.timing;
        // Enough for the last late message to arrive, the term to pass, and a few reads and answers.
        let bound = SLOWEST * 2
            + (timing.wait(timing.term) * 11 / 10 + 4 * (timing.poll_every + timing.request_timeout)).as_nanos() as u64;
        while let Some(Reverse(Entry { at, what, .. })) = self.queue.pop() {
            self.now = at;
            if at > FAULTS + bound + CALM {
                break;
            }
            let at_ms = at as f64 / 1e6;
            self.process(what).map_err(|broken| format!("at {at_ms:.3} ms: {broken}; {:?}", self.conditions))?;
            let able = self.able();
            let checked = self.invariants.at_most_one_may_acknowledge(&able).and_then(|()| match at > FAULTS + bound {
                true => self.invariants.a_process_leads(&able, at, FAULTS),
                false => Ok(()),
            });
            checked.map_err(|broken| format!("at {at_ms:.3} ms: {broken}; {:?}", self.conditions))?;
        }
        Ok(self.counts)
    }

    /// Returns the processes that would acknowledge now.
    fn able(&self) -> Vec<(usize, Epoch)> {
        let able = self.nodes.iter().enumerate().filter(|(_, node)| node.runs());
        able.filter_map(|(index, node)| Some((index, node.authority.epoch(node.clock.read(self.now)).ok()?))).collect()
    }

    fn process(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Node(index, process, event) => return self.node(index, process, event),
            What::Store(index, process, request, sent) => self.store(index, process, request, sent),
            What::Fault => self.inject_fault(),
            What::Back(index) => return self.back(index),
            What::StoreBack => self.store_up = true,
            What::Calm => {
                self.log(|| "all faults have ended".into());
                self.conditions.calm();
                self.store_up = true;
                for index in 0..self.nodes.len() {
                    self.back(index)?;
                    self.send_event(index, Event::Stand { floor: self.nodes[index].log_epoch });
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, index: usize, process: u64, event: NodeEvent) -> Result<(), String> {
        let node = &mut self.nodes[index];
        if node.process != process || !node.up {
            return Ok(());
        }
        if let Some(backlog) = &mut node.backlog {
            backlog.push(event);
            return Ok(());
        }
        let local = node.clock.read(self.now);
        match event {
            NodeEvent::Timer(timer) if timer == node.timer => self.elect(index, Event::Timer),
            NodeEvent::Timer(_) => Ok(()),
            NodeEvent::Election(event) => {
                let event = node.guards_in(event);
                self.elect(index, event)
            }
            NodeEvent::Append => {
                if let Ok(epoch) = node.authority.epoch(local) {
                    // A region's log also rejects old epochs; this simulation checks only the lease.
                    node.log_epoch = node.log_epoch.max(epoch);
                    let durable = self.now + self.rng.u64(MS / 10..30 * MS);
                    self.schedule(durable, What::Node(index, process, NodeEvent::Durable(epoch)));
                }
                let next = self.now + self.rng.u64(3 * MS..25 * MS);
                self.schedule(next, What::Node(index, process, NodeEvent::Append));
                Ok(())
            }
            NodeEvent::Durable(epoch) => {
                if node.authority.confirm(epoch, local).is_err() {
                    self.counts.rejected_after_lease += 1;
                    return Ok(());
                }
                self.counts.acknowledged += 1;
                let process = node.process(index);
                self.invariants.epochs_of_acknowledgements_never_go_back(process, epoch)
            }
        }
    }

    fn elect(&mut self, index: usize, event: Event) -> Result<(), String> {
        let mut commands = Vec::new();
        let local = self.nodes[index].clock.read(self.now);
        self.log(|| format!("{index} at {local:?}: {event:?}"));
        self.nodes[index].election.on(event, local, &mut commands);
        for command in commands {
            self.log(|| format!("{index}   {command:?}"));
            let node = &mut self.nodes[index];
            match node.guards_out(command) {
                Command::Lead { epoch, until } => {
                    node.authority.grant(epoch, until);
                    let process = node.process(index);
                    let begun = self.invariants.an_epoch_is_one_unbroken_leadership(process, epoch, local, until)?;
                    self.counts.leaderships += u64::from(begun);
                }
                Command::StepDown { epoch, .. } => {
                    node.authority.revoke();
                    self.invariants.ended(epoch);
                }
                Command::Follow { .. } => {}
                Command::Read { request } => self.send(index, Request::Read(request)),
                Command::Swap { request, expected, claim } => self.send(index, Request::Swap(request, expected, claim)),
            }
        }
        let node = &mut self.nodes[index];
        node.timer += 1;
        // Only a faulty election requests a timer in the past; simulate it, but let time pass.
        let at = node.clock.when(node.election.wake_at()).max(self.now + MS / 10);
        let (process, timer) = (node.process, node.timer);
        self.schedule(at, What::Node(index, process, NodeEvent::Timer(timer)));
        Ok(())
    }

    fn send(&mut self, index: usize, request: Request) {
        let times = if one_in(&mut self.rng, self.conditions.repeated) { 2 } else { 1 };
        for _ in 0..times {
            if self.nodes[index].cut_off || one_in(&mut self.rng, self.conditions.requests_lost) {
                continue;
            }
            let at = self.now + self.conditions.delay(&mut self.rng);
            self.schedule(at, What::Store(index, self.nodes[index].process, request.clone(), self.now));
        }
    }

    fn store(&mut self, index: usize, process: u64, request: Request, sent: Truth) {
        let at = if self.nodes[index].unmounted { index + 1 } else { 0 };
        let answer = match request {
            Request::Read(request) => {
                let ago = if one_in(&mut self.rng, self.conditions.stale_reads) { self.rng.usize(..4) } else { 0 };
                Event::Read { request, result: self.store_up.then(|| self.registers[at].read(self.now, ago)) }
            }
            Request::Swap(request, expected, claim) => {
                // Like etcd: the store's own lease is renewed at some time on the way, and lasts a second longer.
                let term = claim.term().as_nanos() as u64;
                let ttl = term.next_multiple_of(1_000 * MS) + 1_000 * MS;
                let ends = self.rng.u64(sent..=self.now) + ttl;
                let expires = (self.conditions.store_ends_claims && !claim.released).then_some(ends);
                let there = self.store_up && expires.is_none_or(|at| at > self.now);
                Event::Swapped {
                    request,
                    result: there.then(|| self.registers[at].swap(expected.as_ref(), claim, expires)),
                }
            }
        };
        let times = if one_in(&mut self.rng, self.conditions.repeated) { 2 } else { 1 };
        for _ in 0..times {
            if self.nodes[index].cut_off || one_in(&mut self.rng, self.conditions.answers_lost) {
                continue;
            }
            let at = self.now + self.conditions.delay(&mut self.rng);
            self.schedule(at, What::Node(index, process, NodeEvent::Election(answer.clone())));
        }
    }

    fn inject_fault(&mut self) {
        if self.now >= FAULTS {
            return;
        }
        let index = self.rng.usize(..self.nodes.len());
        let back = self.now + self.rng.u64(10 * MS..4_000 * MS);
        let kind = self.rng.u8(..9);
        self.log(|| format!("{index}: fault {kind}"));
        match kind {
            0 | 1 if self.nodes[index].runs() => {
                self.nodes[index].backlog = Some(Vec::new());
                self.schedule(back, What::Back(index));
            }
            2 if self.nodes[index].up => {
                let node = &mut self.nodes[index];
                (node.up, node.backlog) = (false, None);
                self.schedule(back, What::Back(index));
            }
            3 | 4 => {
                self.nodes[index].cut_off = true;
                self.schedule(back, What::Back(index));
            }
            5 => {
                self.store_up = false;
                self.schedule(back, What::StoreBack);
            }
            6 => {
                let drift = self.conditions.drift_ppm(&mut self.rng);
                let now = self.now;
                let clock = &mut self.nodes[index].clock;
                clock.change(now, drift);
            }
            // A process that has never used a store cannot detect that.
            7 if self.nodes[index].identity.known().is_some() => {
                self.nodes[index].unmounted = true;
                self.schedule(back, What::Back(index));
            }
            _ => {
                let floor = self.nodes[index].log_epoch;
                self.send_event(index, Event::Resign);
                self.schedule(
                    back,
                    What::Node(index, self.nodes[index].process, NodeEvent::Election(Event::Stand { floor })),
                );
            }
        }
        let next = self.now + self.rng.u64(1..=self.conditions.fault_every_ms * 2) * MS;
        self.schedule(next, What::Fault);
    }

    fn back(&mut self, index: usize) -> Result<(), String> {
        (self.nodes[index].cut_off, self.nodes[index].unmounted) = (false, false);
        if !self.nodes[index].up {
            let Node { process, log_epoch, identity, .. } = &self.nodes[index];
            self.nodes[index] = self.create_node(index, process + 1, *log_epoch, identity.known());
            self.start(index);
        }
        let Some(mut backlog) = self.nodes[index].backlog.take() else { return Ok(()) };
        self.log(|| format!("{index}: resumes"));
        let process = self.nodes[index].process;
        // Use the worst order: pending acknowledgements run before the renewal of the lease.
        backlog.sort_by_key(|event| !matches!(event, NodeEvent::Durable(_)));
        for event in backlog {
            self.node(index, process, event)?;
        }
        Ok(())
    }

    fn create_node(&mut self, index: usize, process: u64, log_epoch: Epoch, store: Option<StoreId>) -> Node {
        let drift = self.conditions.drift_ppm(&mut self.rng);
        let clock = LocalClock::new(self.rng.u64(..1 << 40), self.now, drift);
        Node::new(index, process, self.conditions.timing, clock, log_epoch, store)
    }

    fn start(&mut self, index: usize) {
        let floor = self.nodes[index].log_epoch;
        self.send_event(index, Event::Stand { floor });
        self.schedule(self.now, What::Node(index, self.nodes[index].process, NodeEvent::Append));
    }

    fn send_event(&mut self, index: usize, event: Event) {
        self.schedule(self.now, What::Node(index, self.nodes[index].process, NodeEvent::Election(event)));
    }

    fn schedule(&mut self, at: Truth, what: What) {
        self.entries += 1;
        self.queue.push(Reverse(Entry { at, order: self.entries, what }));
    }

    fn log(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>12.3} ms  {}", self.now as f64 / 1e6, what());
        }
    }
}
