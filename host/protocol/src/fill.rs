//! The race between a fill and the feed.
//!
//! A resident view receives a row in two ways: the feed sends each record, and a fill fetches what
//! the leader read for a missing key. A reply that was read before a record but arrives after it
//! would undo the record, and no later record would correct the row. So the keys are divided into
//! stripes. Before the feed's applier changes a key, it publishes the record's LSN in the key's
//! stripe. A fill carries the LSN at which the leader read, and is applied only if that LSN is not
//! older than the stripe's. Otherwise the caller requests the row again.
//!
//! Callers hold one lock while they publish and apply, and while they check and insert.

use littoral_model::{
    mutation::{Mutation, active},
    position::Lsn,
};

/// The newest record that changed a key of the stripe, or passed by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripe {
    applied: Lsn,
}

impl Stripe {
    /// Publishes that a record of this stripe is about to be applied.
    #[inline]
    pub fn publish(&mut self, lsn: Lsn) {
        if !active(Mutation::PublishNoStripe) {
            self.applied = self.applied.max(lsn);
        }
    }

    /// Checks whether a reply that was read as of `as_of` may be inserted.
    ///
    /// # Errors
    /// The minimum LSN at which the row must be read.
    #[inline]
    pub fn admit(&self, as_of: Lsn) -> Result<(), Lsn> {
        if as_of >= self.applied || active(Mutation::SkipStripeCheck) { Ok(()) } else { Err(self.applied) }
    }
}

#[cfg(test)]
mod interleavings;
