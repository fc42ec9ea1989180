//! A store of the simulated world: one claim, swapped whole. There is the one that all share, and for each process the empty one that
//! answers where that is not mounted. In half of the worlds it lets claims run out by itself, as
//! etcd does.

use crate::clock::Truth;
use littoral_lease::{Claim, Seen, Swap, Tag};

#[derive(Debug)]
pub struct Register {
    /// Tells its states from those of others.
    number: usize,
    /// Every state that it was in.
    states: Vec<Claim>,
    /// When the store itself declares the newest claim over.
    runs_out: Option<Truth>,
}

impl Register {
    pub fn new(number: usize) -> Self {
        Self { number, states: Vec::new(), runs_out: None }
    }

    /// The state `ago` changes ago.
    pub fn read(&self, now: Truth, ago: usize) -> Option<Seen> {
        let index = self.states.len().checked_sub(ago + 1)?;
        let mut claim = self.states[index].clone();
        claim.released |= ago == 0 && self.runs_out.is_some_and(|at| now >= at);
        Some(Seen { claim, tag: self.tag(index) })
    }

    pub fn swap(&mut self, expected: Option<&Tag>, claim: Claim, runs_out: Option<Truth>) -> Swap {
        let current = self.states.len().checked_sub(1).map(|index| self.tag(index));
        if current.as_ref() != expected {
            return Swap::Lost;
        }
        self.states.push(claim);
        self.runs_out = runs_out;
        Swap::Taken(self.tag(self.states.len() - 1))
    }

    fn tag(&self, index: usize) -> Tag {
        Tag(format!("{}/{index}", self.number))
    }
}
