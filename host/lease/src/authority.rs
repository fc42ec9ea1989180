//! The right to acknowledge writes, as of one moment of the local clock.
//!
//! A write is acknowledged in three steps: [`Authority::epoch`] before it is appended, the append with that epoch, and
//! [`Authority::confirm`] after it is durable, before the response is sent. If a process was paused until after its
//! lease expired, the last step fails: it compares the clock with the deadline, and does not rely on the task that
//! renews the lease, which may not have run yet.

use littoral_model::{
    mutation::{Mutation, active},
    position::Epoch,
};
use parking_lot::Mutex;
use std::time::Duration;

/// The leadership of this process, if any. Shared by the task that renews it and the threads that acknowledge writes.
#[derive(Debug, Default)]
pub struct Authority {
    granted: Mutex<Option<Granted>>,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    epoch: Epoch,
    until: Duration,
}

/// Why this process may not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// This process is not the leader.
    #[error("this node is not the leader; send the request to the leader")]
    NotLeading,
    /// The lease expired by the local clock and was not renewed in time.
    #[error("this node's lease of epoch {0} has expired; another node may be the leader")]
    RanOut(Epoch),
    /// The append belongs to an epoch that has ended.
    #[error("epoch {had} has ended; this node leads in epoch {now}")]
    Ended {
        /// The epoch of the append.
        had: Epoch,
        /// The current epoch.
        now: Epoch,
    },
}

impl Authority {
    /// Grants an epoch until a deadline, or prolongs it.
    pub fn grant(&self, epoch: Epoch, until: Duration) {
        *self.granted.lock() = Some(Granted { epoch, until });
    }

    /// Revokes the grant.
    pub fn revoke(&self) {
        *self.granted.lock() = None;
    }

    /// Returns the epoch in which to append now.
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

    /// Checks whether an append in `epoch` that is now durable may be acknowledged. Read `now` after it became durable.
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
    fn nothing_is_acknowledged_without_a_grant() {
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
