//! The race between a fill and the feed, decided.
//!
//! A resident view learns a row in two ways: the feed brings each record, and a fill brings what the leader read when a
//! key was missed. An answer that was read before a record and arrives after it would undo the record, and nothing
//! would ever correct it: the record has gone by. So keys are divided into stripes. Before the applier touches a key, it
//! publishes the record's LSN in the key's stripe; a fill carries the LSN as of which the leader read, and is taken only
//! if that is not older than the stripe's LSN. Otherwise whoever fills asks again.
//!
//! Whoever uses this holds one lock over publishing and applying, and over asking and inserting.

use littoral_model::{
    mutation::{Mutation, active},
    position::Lsn,
};

/// The newest record that touched, or passed by, the keys of a stripe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripe {
    applied: Lsn,
}

impl Stripe {
    /// A record of this stripe is about to be applied.
    #[inline]
    pub fn publish(&mut self, lsn: Lsn) {
        if !active(Mutation::PublishNoStripe) {
            self.applied = self.applied.max(lsn);
        }
    }

    /// Whether an answer as of `as_of` may be inserted.
    ///
    /// # Errors
    /// The LSN that the answer must be as of, at least.
    #[inline]
    pub fn admit(&self, as_of: Lsn) -> Result<(), Lsn> {
        if as_of >= self.applied || active(Mutation::SkipStripeCheck) { Ok(()) } else { Err(self.applied) }
    }
}

#[cfg(test)]
mod interleavings;
