//! The right to acknowledge, as of one moment of the local clock.
//!
//! A write is acknowledged in three steps: [`Authority::epoch`] before it is appended, the append with that epoch, and
//! [`Authority::confirm`] after it is durable, before the answer leaves. The last step is what a process that was stopped past
//! its lease fails at: it asks the clock and the deadline, not the task that renews the lease, which may not have run yet.

use littoral_model::{
    mutation::{Mutation, active},
    position::Epoch,
};
use parking_lot::Mutex;
use std::time::Duration;

/// The leadership of this process, if any, shared by who renews it and who acknowledges.
#[derive(Debug, Default)]
pub struct Authority {
    granted: Mutex<Option<Granted>>,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    epoch: Epoch,
    until: Duration,
}

/// This process may not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// It does not lead.
    #[error("this node does not lead; ask the node that does")]
    NotLeading,
    /// The lease ran out by the local clock and was not renewed in time.
    #[error("the lease of epoch {0} has run out here; another node may lead")]
    RanOut(Epoch),
    /// What was appended is of an epoch that has ended here.
    #[error("epoch {had} has ended here; this node leads in epoch {now}")]
    Ended {
        /// The append's.
        had: Epoch,
        /// The one that runs.
        now: Epoch,
    },
}

impl Authority {
    /// Grants an epoch until a moment, or prolongs it.
    pub fn grant(&self, epoch: Epoch, until: Duration) {
        *self.granted.lock() = Some(Granted { epoch, until });
    }

    /// Takes everything back.
    pub fn revoke(&self) {
        *self.granted.lock() = None;
    }

    /// The epoch in which to append now.
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn epoch(&self, now: Duration) -> Result<Epoch, Fenced> {
        let granted = (*self.granted.lock()).ok_or(Fenced::NotLeading)?;
        if now >= granted.until && !active(Mutation::AcknowledgePastDeadline) {
            return Err(Fenced::RanOut(granted.epoch));
        }
        Ok(granted.epoch)
    }

    /// Whether what was appended in `epoch`, and is durable, may be acknowledged. `now` is to be read after it became
    /// durable.
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn confirm(&self, epoch: Epoch, now: Duration) -> Result<(), Fenced> {
        let current = self.epoch(now)?;
        if current == epoch { Ok(()) } else { Err(Fenced::Ended { had: epoch, now: current }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn who_was_granted_nothing_acknowledges_nothing() {
        let authority = Authority::default();
        assert_eq!(authority.epoch(S(0)), Err(Fenced::NotLeading));
        assert_eq!(authority.confirm(Epoch(1), S(0)), Err(Fenced::NotLeading));
    }

    #[test]
    fn an_append_that_took_longer_than_the_lease_is_not_acknowledged() {
        let authority = Authority::default();
        authority.grant(Epoch(3), S(10));
        let epoch = authority.epoch(S(9)).unwrap();
        assert_eq!(authority.confirm(epoch, S(10)), Err(Fenced::RanOut(Epoch(3))));
        authority.grant(Epoch(3), S(12));
        assert_eq!(authority.confirm(epoch, S(11)), Ok(()));
    }

    #[test]
    fn an_append_of_an_older_epoch_is_not_acknowledged_in_a_newer_one() {
        let authority = Authority::default();
        authority.grant(Epoch(3), S(10));
        let epoch = authority.epoch(S(9)).unwrap();
        authority.revoke();
        authority.grant(Epoch(5), S(30));
        assert_eq!(authority.confirm(epoch, S(20)), Err(Fenced::Ended { had: Epoch(3), now: Epoch(5) }));
    }
}
