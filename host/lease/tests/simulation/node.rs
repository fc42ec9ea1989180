//! A simulated process: an election, the right that it gives, and a writer that makes use of it.

use crate::{clock::LocalClock, invariants::Life};
use littoral_lease::{Authority, Election, Holder, Timing, election::Event};
use littoral_model::position::Epoch;

pub struct Node {
    pub life: u64,
    pub election: Election,
    pub authority: Authority,
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
    pub fn new(index: usize, life: u64, timing: Timing, clock: LocalClock, log_epoch: Epoch) -> Self {
        let me = Holder { name: format!("node-{index}"), life };
        Self {
            life,
            election: Election::new(me, String::new(), timing),
            authority: Authority::default(),
            clock,
            up: true,
            backlog: None,
            cut_off: false,
            timer: 0,
            log_epoch,
        }
    }

    pub fn life(&self, index: usize) -> Life {
        (index, self.life)
    }

    pub fn runs(&self) -> bool {
        self.up && self.backlog.is_none()
    }
}
