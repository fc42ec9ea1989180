//! A simulated process: an election, its authority to acknowledge, and a writer.

use crate::{clock::LocalClock, invariants::Process};
use littoral_lease::{
    Authority, Claim, Election, Holder, Identity, Seen, StoreId, Swap, Timing,
    election::{Command, Event},
};
use littoral_model::position::Epoch;

pub struct Node {
    pub process: u64,
    pub election: Election,
    pub authority: Authority,
    pub identity: Identity,
    /// Whether it reaches an empty store instead of the shared one.
    pub unmounted: bool,
    pub clock: LocalClock,
    pub up: bool,
    /// The events that are queued for a paused process.
    pub backlog: Option<Vec<NodeEvent>>,
    /// Whether it cannot reach the store.
    pub cut_off: bool,
    /// The number of the current timer; earlier ones are obsolete.
    pub timer: u64,
    /// The newest epoch in its log.
    pub log_epoch: Epoch,
}

/// An event at a process.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    Timer(u64),
    Election(Event),
    /// It appends, if it may.
    Append,
    /// The append in this epoch is durable.
    Durable(Epoch),
}

impl Node {
    pub fn new(
        index: usize,
        process: u64,
        timing: Timing,
        clock: LocalClock,
        log_epoch: Epoch,
        store: Option<StoreId>,
    ) -> Self {
        let me = Holder { name: format!("node-{index}"), process };
        Self {
            process,
            election: Election::new(me, String::new(), timing),
            authority: Authority::default(),
            identity: Identity::remembered(store),
            unmounted: false,
            clock,
            up: true,
            backlog: None,
            cut_off: false,
            timer: 0,
            log_epoch,
        }
    }

    /// Returns the identity in its claims.
    fn store_id(&self) -> StoreId {
        self.identity.known().unwrap_or(StoreId(self.process << 8 | 1))
    }

    /// Transforms a command as the store's guard does.
    pub fn guards_out(&self, command: Command) -> Command {
        match command {
            Command::Swap { request, expected, claim } => {
                Command::Swap { request, expected, claim: Claim { store: Some(self.store_id()), ..claim } }
            }
            other => other,
        }
    }

    /// Transforms a result as the store's guard does.
    pub fn guards_in(&mut self, event: Event) -> Event {
        match event {
            Event::Read { request, result: Some(seen) } => {
                let checked = self.identity.check(seen.as_ref().map(|seen| &seen.claim));
                let strip = |seen: Seen| Seen { claim: Claim { store: None, ..seen.claim }, ..seen };
                Event::Read { request, result: checked.is_ok().then(|| seen.map(strip)) }
            }
            Event::Swapped { result: Some(Swap::Done(_)), .. } => {
                let id = self.store_id();
                self.identity.claimed(id);
                event
            }
            event => event,
        }
    }

    pub fn process(&self, index: usize) -> Process {
        (index, self.process)
    }

    pub fn runs(&self) -> bool {
        self.up && self.backlog.is_none()
    }
}
