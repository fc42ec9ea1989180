//! A simulated store: one claim, replaced as a whole. There is one that all processes share, and for each process an
//! empty one that answers while the shared one is not mounted. In half of the runs the store lets claims expire by
//! itself, as etcd does.

use crate::clock::Truth;
use littoral_lease::{Claim, Seen, Swap, Tag};

#[derive(Debug)]
pub struct Register {
    /// Distinguishes the tags of this store from those of others.
    number: usize,
    /// Every state that it has been in.
    states: Vec<Claim>,
    /// When the store itself declares the newest claim expired.
    expires: Option<Truth>,
}

impl Register {
    pub fn new(number: usize) -> Self {
        Self { number, states: Vec::new(), expires: None }
    }

    /// Returns the state `ago` changes before the current one.
    pub fn read(&self, now: Truth, ago: usize) -> Option<Seen> {
        let index = self.states.len().checked_sub(ago + 1)?;
        let mut claim = self.states[index].clone();
        claim.released |= ago == 0 && self.expires.is_some_and(|at| now >= at);
        Some(Seen { claim, tag: self.tag(index) })
    }

    pub fn swap(&mut self, expected: Option<&Tag>, claim: Claim, expires: Option<Truth>) -> Swap {
        let current = self.states.len().checked_sub(1).map(|index| self.tag(index));
        if current.as_ref() != expected {
            return Swap::Lost;
        }
        self.states.push(claim);
        self.expires = expires;
        Swap::Done(self.tag(self.states.len() - 1))
    }

    fn tag(&self, index: usize) -> Tag {
        Tag(format!("{}/{index}", self.number))
    }
}
