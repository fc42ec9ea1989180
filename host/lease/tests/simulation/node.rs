//! A simulated process: an election, the right that it gives, and a writer that makes use of it.

use crate::{clock::LocalClock, invariants::Life};
use littoral_lease::{
    Authority, Claim, Election, Holder, Identity, Seen, StoreId, Swap, Timing,
    election::{Effect, Event},
};
use littoral_model::position::Epoch;

pub struct Node {
    pub life: u64,
    pub election: Election,
    pub authority: Authority,
    pub identity: Identity,
    /// It sees an empty store in the place of the shared one.
    pub unmounted: bool,
    pub clock: LocalClock,
    pub up: bool,
    /// What waits for a stopped process.
    pub backlog: Option<Vec<Happening>>,
    /// It cannot reach the store.
    pub cut_off: bool,
    /// The timer that counts; earlier ones were set for another time.
    pub timer: u64,
    /// The newest epoch in its log.
    pub log_epoch: Epoch,
}

/// What happens to a process.
#[derive(Clone, Debug)]
pub enum Happening {
    Timer(u64),
    Told(Event),
    /// It appends, if it may.
    Append,
    /// What was appended in this epoch is durable.
    Durable(Epoch),
}

impl Node {
    pub fn new(
        index: usize,
        life: u64,
        timing: Timing,
        clock: LocalClock,
        log_epoch: Epoch,
        store: Option<StoreId>,
    ) -> Self {
        let me = Holder { name: format!("node-{index}"), life };
        Self {
            life,
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

    /// The identity that its claims name.
    fn store_id(&self) -> StoreId {
        self.identity.known().unwrap_or(StoreId(self.life << 8 | 1))
    }

    /// What the store's guard hands to the store.
    pub fn guards_out(&self, effect: Effect) -> Effect {
        match effect {
            Effect::Swap { request, expected, claim } => {
                Effect::Swap { request, expected, claim: Claim { store: Some(self.store_id()), ..claim } }
            }
            other => other,
        }
    }

    /// What it lets through to the election. Who would claim over nothing is let through only if it never used a store.
    pub fn guards_in(&mut self, event: Event) -> Event {
        match event {
            Event::Read { request, result: Some(seen) } => {
                let found = self.identity.found(seen.as_ref().map(|seen| &seen.claim));
                let strip = |seen: Seen| Seen { claim: Claim { store: None, ..seen.claim }, ..seen };
                Event::Read { request, result: found.is_ok().then(|| seen.map(strip)) }
            }
            Event::Swapped { result: Some(Swap::Taken(_)), .. } => {
                let id = self.store_id();
                self.identity.claimed(id);
                event
            }
            event => event,
        }
    }

    pub fn life(&self, index: usize) -> Life {
        (index, self.life)
    }

    pub fn runs(&self) -> bool {
        self.up && self.backlog.is_none()
    }
}
