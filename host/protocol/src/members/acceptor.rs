//! A member's promise and log: which epochs it rejects, whose records it accepts, and which
//! records it detaches.

use super::history::{EpochHistory, OutOfOrder};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};

/// A member's promise and the summary of its log. Each member has one, whether it leads or not.
///
/// Whatever a call changes must be made durable, in the order of the calls, before any reply is
/// sent.
#[derive(Clone, Debug)]
pub struct Acceptor {
    promised: Epoch,
    history: EpochHistory,
    /// The last record known to be committed. Committed records are never cut.
    committed: Lsn,
    /// The epoch of the stream that is followed.
    stream: Option<Epoch>,
}

/// The error for a request of an older epoch than promised. A sender that receives it no longer
/// leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {asked} has ended: this member has promised epoch {promised}")]
pub struct StaleEpoch {
    /// The sender's epoch.
    pub asked: Epoch,
    /// The newest epoch that this member knows.
    pub promised: Epoch,
}

/// How a leader starts a stream to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The common record. The stream continues with the next one.
    pub common: Lsn,
    /// The last record that the leader knows to be committed.
    pub committed: Lsn,
}

/// What a follower must do before it accepts records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The promise to make durable, if it has changed.
    pub promise: Option<Epoch>,
    /// The first and the last of its records to detach: to copy aside durably, and then to cut
    /// off.
    pub detach: Option<(Lsn, Lsn)>,
}

/// Why a stream is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The stream has an older epoch than promised.
    #[error(transparent)]
    StaleEpoch(#[from] StaleEpoch),
    /// The leader lacks committed records. Impossible while every member keeps its promises and
    /// its log.
    #[error(
        "the leader of epoch {epoch} shares records only up to {common}, but record {committed} was committed; nothing is cut here"
    )]
    WouldLose {
        /// The leader's epoch.
        epoch: Epoch,
        /// The common record.
        common: Lsn,
        /// The last committed record.
        committed: Lsn,
    },
    /// The leader claims a common record past the end of this log.
    #[error("the leader claims common records up to {common}, but this log ends at {tail}")]
    Beyond {
        /// The claimed common record.
        common: Lsn,
        /// The last record of this log.
        tail: Lsn,
    },
    /// The record does not follow the log's end.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A record arrived outside a stream.
    #[error("a record arrived before the start of a stream")]
    NoStream,
    /// The record's epoch is newer than its stream's, so the stream's leader cannot have it.
    #[error("record {at} of epoch {got} arrived on the stream of epoch {stream}")]
    Ahead {
        /// The record.
        at: Lsn,
        /// Its epoch.
        got: Epoch,
        /// The stream's epoch.
        stream: Epoch,
    },
}

impl Acceptor {
    /// Restores a member from its disk.
    #[must_use]
    pub fn restored(promised: Epoch, history: EpochHistory) -> Self {
        // A log's records count as promises. A promise becomes durable before its records, but a
        // disk may be copied without it.
        let promised = promised.max(history.advance().0);
        Self { promised, history, committed: Lsn::NONE, stream: None }
    }

    /// Returns the newest epoch that the member knows.
    #[must_use]
    pub const fn promised(&self) -> Epoch {
        self.promised
    }

    /// Returns the log's epoch history, which the member reports when it joins a leader's stream.
    #[must_use]
    pub const fn history(&self) -> &EpochHistory {
        &self.history
    }

    /// Returns the last record known to be committed.
    #[must_use]
    pub const fn committed(&self) -> Lsn {
        self.committed
    }

    /// Handles the preparation of a member that has won the lease. The caller makes the promise
    /// durable, then replies with the epoch history.
    ///
    /// # Errors
    /// [`StaleEpoch`], which the caller returns to the sender.
    pub fn prepare(&mut self, epoch: Epoch) -> Result<(), StaleEpoch> {
        self.check(epoch)?;
        if epoch > self.promised {
            self.stream = None;
        }
        self.promised = epoch;
        Ok(())
    }

    /// Starts a leader's stream. It must answer the member's last join on the current connection:
    /// an answer to an earlier join could cut off records that the member has since reported.
    ///
    /// # Errors
    /// [`Alarm`]; nothing has changed. All but [`Alarm::StaleEpoch`] need an operator.
    pub fn begin(&mut self, start: Start) -> Result<Begun, Alarm> {
        let Start { epoch, common, committed } = start;
        self.check(epoch)?;
        let tail = self.history.tail();
        if common > tail {
            return Err(Alarm::Beyond { common, tail });
        }
        if common < self.committed.max(self.history.base()) {
            return Err(Alarm::WouldLose { epoch, common, committed: self.committed.max(self.history.base()) });
        }
        let promise = (epoch > self.promised).then_some(epoch);
        self.promised = epoch;
        self.stream = Some(epoch);
        let detach = (common < tail).then_some((common.next(), tail));
        self.history.cut(common);
        self.know_committed(committed);
        Ok(Begun { promise, detach })
    }

    /// Accepts a record of the stream, or the leader's own. The caller makes it durable, then
    /// reports it.
    ///
    /// # Errors
    /// [`Alarm`]; the stream ends.
    pub fn take(&mut self, epoch: Epoch, lsn: Lsn) -> Result<(), Alarm> {
        let stream = self.stream.ok_or(Alarm::NoStream)?;
        self.check(stream)?;
        if epoch > stream {
            return Err(Alarm::Ahead { at: lsn, got: epoch, stream });
        }
        Ok(self.history.push(epoch, lsn)?)
    }

    fn check(&self, asked: Epoch) -> Result<(), StaleEpoch> {
        let over = asked < self.promised && !active(Mutation::ForgetPromise);
        if over { Err(StaleEpoch { asked, promised: self.promised }) } else { Ok(()) }
    }

    /// Notes what the stream's leader reports as committed, up to this log's end.
    pub fn know_committed(&mut self, committed: Lsn) {
        self.committed = self.committed.max(committed.min(self.history.tail()));
    }

    /// Trims records up to `base`, but only committed ones. Returns the new base.
    pub fn trim(&mut self, base: Lsn) -> Lsn {
        self.history.trim(base.min(self.committed));
        self.history.base()
    }

    /// Ends the stream.
    pub fn end_stream(&mut self) {
        self.stream = None;
    }

    /// Replaces the whole log by a snapshot. The caller detaches uncommitted records first.
    ///
    /// # Errors
    /// [`Alarm::StaleEpoch`] if the epoch is older than promised, [`Alarm::WouldLose`] if the snapshot ends
    /// before the last committed record.
    pub fn restart(&mut self, stream: Epoch, epoch: Epoch, last: Lsn) -> Result<(), Alarm> {
        self.check(stream)?;
        if last < self.committed {
            return Err(Alarm::WouldLose { epoch: stream, common: last, committed: self.committed });
        }
        self.promised = stream;
        self.stream = Some(stream);
        self.history = EpochHistory::after(epoch, last);
        self.committed = last;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(epochs: &[u64]) -> Acceptor {
        let mut history = EpochHistory::default();
        for (epoch, lsn) in epochs.iter().zip(1..) {
            history.push(Epoch(*epoch), Lsn(lsn)).unwrap();
        }
        Acceptor::restored(Epoch(0), history)
    }

    fn start(epoch: u64, common: u64, committed: u64) -> Start {
        Start { epoch: Epoch(epoch), common: Lsn(common), committed: Lsn(committed) }
    }

    #[test]
    fn a_promise_rejects_older_epochs_in_every_request() {
        let mut member = member(&[1, 2]);
        member.begin(start(2, 2, 0)).unwrap();
        member.take(Epoch(2), Lsn(3)).unwrap();
        member.prepare(Epoch(5)).unwrap();
        let rejected = |asked| StaleEpoch { asked: Epoch(asked), promised: Epoch(5) };
        assert_eq!(member.prepare(Epoch(4)), Err(rejected(4)));
        assert_eq!(member.begin(start(2, 3, 0)), Err(Alarm::StaleEpoch(rejected(2))));
        assert_eq!(member.take(Epoch(2), Lsn(4)), Err(Alarm::NoStream));
        assert_eq!(member.restart(Epoch(3), Epoch(3), Lsn(9)), Err(Alarm::StaleEpoch(rejected(3))));
        assert_eq!(member.history().tail(), Lsn(3));
        // The same promise again changes nothing.
        member.prepare(Epoch(5)).unwrap();
    }

    #[test]
    fn records_that_only_this_member_has_are_reported_before_they_are_cut() {
        let mut member = member(&[1, 1, 1, 2, 2]);
        let begun = member.begin(start(4, 3, 2)).unwrap();
        assert_eq!(begun, Begun { promise: Some(Epoch(4)), detach: Some((Lsn(4), Lsn(5))) });
        assert_eq!((member.history().tail(), member.committed()), (Lsn(3), Lsn(2)));
        member.take(Epoch(4), Lsn(4)).unwrap();
        let again = member.begin(start(4, 4, 4)).unwrap();
        assert_eq!(again, Begun { promise: None, detach: None });
    }

    #[test]
    fn committed_records_are_never_cut() {
        let mut member = member(&[1, 1, 1]);
        member.begin(start(1, 3, 3)).unwrap();
        let lost = Alarm::WouldLose { epoch: Epoch(2), common: Lsn(2), committed: Lsn(3) };
        assert_eq!(member.begin(start(2, 2, 0)), Err(lost));
        assert!(matches!(member.restart(Epoch(2), Epoch(2), Lsn(2)), Err(Alarm::WouldLose { .. })));
        assert_eq!((member.history().tail(), member.promised()), (Lsn(3), Epoch(1)));
    }

    #[test]
    fn an_impossible_stream_is_not_followed() {
        let mut member = member(&[1]);
        assert_eq!(member.take(Epoch(1), Lsn(2)), Err(Alarm::NoStream));
        assert_eq!(member.begin(start(1, 2, 0)), Err(Alarm::Beyond { common: Lsn(2), tail: Lsn(1) }));
        member.begin(start(1, 1, 0)).unwrap();
        let ahead = Alarm::Ahead { at: Lsn(2), got: Epoch(2), stream: Epoch(1) };
        assert_eq!(member.take(Epoch(2), Lsn(2)), Err(ahead));
        assert!(matches!(member.take(Epoch(1), Lsn(3)), Err(Alarm::OutOfOrder(OutOfOrder::Gap { .. }))));
        member.end_stream();
        assert_eq!(member.take(Epoch(1), Lsn(2)), Err(Alarm::NoStream));
    }

    #[test]
    fn a_snapshot_replaces_the_log() {
        let mut member = member(&[1, 1]);
        member.restart(Epoch(6), Epoch(4), Lsn(90)).unwrap();
        assert_eq!((member.committed(), member.history().advance()), (Lsn(90), (Epoch(4), Lsn(90))));
        member.take(Epoch(5), Lsn(91)).unwrap();
    }
}
