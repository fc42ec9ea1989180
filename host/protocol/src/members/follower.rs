//! A member that follows: what it promises, whose records it takes, what it gives up.

use super::history::{History, Unfit};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};

/// A member's promise and log, as far as they are decided here. Each member has one, leading or not.
///
/// What a call changes is to be made durable, in the order in which it is told, before anything is answered to anyone.
#[derive(Clone, Debug)]
pub struct Follower {
    promised: Epoch,
    history: History,
    /// Known to be committed. Never given up.
    committed: Lsn,
    /// The stream that is followed.
    stream: Option<Epoch>,
}

/// A member that was asked by somebody of an older epoch. Whoever hears this leads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {asked} is over: this member has promised epoch {promised}")]
pub struct Refused {
    /// The epoch of who asked.
    pub asked: Epoch,
    /// The newest that this member knows of.
    pub promised: Epoch,
}

/// How a leader begins a stream to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The last record that both have alike; records come from the next one on.
    pub common: Lsn,
    /// What the leader knows to be committed.
    pub committed: Lsn,
}

/// What a follower does before it takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The promise to make durable, if it has changed.
    pub promise: Option<Epoch>,
    /// Its records from the first to the last here are to be detached: kept aside, durably, and only then cut off.
    pub detach: Option<(Lsn, Lsn)>,
}

/// Why a stream is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Of an older epoch.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The leader lacks what was committed. That cannot happen as long as every member keeps its promises and its log.
    #[error(
        "the leader of epoch {epoch} has only {common} in common, and {committed} was committed; nothing is cut here"
    )]
    WouldLose {
        /// The leader's.
        epoch: Epoch,
        /// What both have.
        common: Lsn,
        /// What must not be lost.
        committed: Lsn,
    },
    /// The leader says that both have more than this log holds.
    #[error("the leader says that both have records up to {common}; this log ends at {tail}")]
    Beyond {
        /// What it says.
        common: Lsn,
        /// The end here.
        tail: Lsn,
    },
    /// Records that do not follow, or of a newer epoch than their stream.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Records outside of a stream.
    #[error("records came before the start of a stream")]
    NoStream,
    /// A record that its leader cannot have.
    #[error("record {at} of epoch {got} came on the stream of epoch {stream}")]
    Ahead {
        /// The record.
        at: Lsn,
        /// Its epoch.
        got: Epoch,
        /// The leader's.
        stream: Epoch,
    },
}

impl Follower {
    /// A member as its disk has it.
    #[must_use]
    pub fn restored(promised: Epoch, history: History) -> Self {
        // A log's records count as promises: a promise is durable before them, but a disk may be handed on without it.
        let promised = promised.max(history.advance().0);
        Self { promised, history, committed: Lsn::NONE, stream: None }
    }

    /// The newest epoch that it knows of.
    #[must_use]
    pub const fn promised(&self) -> Epoch {
        self.promised
    }

    /// Its log. What it says when it joins a leader's stream.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// What is known to be committed.
    #[must_use]
    pub const fn committed(&self) -> Lsn {
        self.committed
    }

    /// Somebody who has won the lease prepares to lead. The promise is to be made durable, then answered with the history.
    ///
    /// # Errors
    /// [`Refused`], which is to be answered.
    pub fn prepare(&mut self, epoch: Epoch) -> Result<(), Refused> {
        self.check(epoch)?;
        if epoch > self.promised {
            self.stream = None;
        }
        self.promised = epoch;
        Ok(())
    }

    /// A leader begins a stream. It must answer what this member has said of its log last, on the connection that is open
    /// now: an answer to what it said before would cut off records that it has since reported.
    ///
    /// # Errors
    /// [`Alarm`]; nothing has changed. All but [`Alarm::Refused`] call for a person.
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

    /// A record of the stream, or of one's own as the leader. To be made durable, then reported.
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

    fn check(&self, asked: Epoch) -> Result<(), Refused> {
        let over = asked < self.promised && !active(Mutation::ForgetPromise);
        if over { Err(Refused { asked, promised: self.promised }) } else { Ok(()) }
    }

    /// The stream's leader says what is committed. What this member does not have yet it will know later.
    pub fn know_committed(&mut self, committed: Lsn) {
        self.committed = self.committed.max(committed.min(self.history.tail()));
    }

    /// Old records are let go of, up to `base` and only as far as they are committed. Returns how far.
    pub fn trim(&mut self, base: Lsn) -> Lsn {
        self.history.trim(base.min(self.committed));
        self.history.base()
    }

    /// The stream has ended.
    pub fn part(&mut self) {
        self.stream = None;
    }

    /// A snapshot has taken the place of the whole log, which is to be detached before as far as it was not committed.
    ///
    /// # Errors
    /// [`Alarm::Refused`] for one of an older epoch than promised, [`Alarm::WouldLose`] for one that ends before what was committed.
    pub fn restart(&mut self, stream: Epoch, epoch: Epoch, last: Lsn) -> Result<(), Alarm> {
        self.check(stream)?;
        if last < self.committed {
            return Err(Alarm::WouldLose { epoch: stream, common: last, committed: self.committed });
        }
        self.promised = stream;
        self.stream = Some(stream);
        self.history = History::after(epoch, last);
        self.committed = last;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(epochs: &[u64]) -> Follower {
        let mut history = History::default();
        for (epoch, lsn) in epochs.iter().zip(1..) {
            history.push(Epoch(*epoch), Lsn(lsn)).unwrap();
        }
        Follower::restored(Epoch(0), history)
    }

    fn start(epoch: u64, common: u64, committed: u64) -> Start {
        Start { epoch: Epoch(epoch), common: Lsn(common), committed: Lsn(committed) }
    }

    #[test]
    fn an_older_epoch_is_refused_by_what_was_promised_whichever_way_it_comes() {
        let mut member = member(&[1, 2]);
        member.begin(start(2, 2, 0)).unwrap();
        member.take(Epoch(2), Lsn(3)).unwrap();
        member.prepare(Epoch(5)).unwrap();
        let refused = |asked| Refused { asked: Epoch(asked), promised: Epoch(5) };
        assert_eq!(member.prepare(Epoch(4)), Err(refused(4)));
        assert_eq!(member.begin(start(2, 3, 0)), Err(Alarm::Refused(refused(2))));
        assert_eq!(member.take(Epoch(2), Lsn(4)), Err(Alarm::NoStream));
        assert_eq!(member.restart(Epoch(3), Epoch(3), Lsn(9)), Err(Alarm::Refused(refused(3))));
        assert_eq!(member.history().tail(), Lsn(3));
        // The same one again is the same promise.
        member.prepare(Epoch(5)).unwrap();
    }

    #[test]
    fn records_that_only_this_member_has_are_told_before_they_are_cut() {
        let mut member = member(&[1, 1, 1, 2, 2]);
        let begun = member.begin(start(4, 3, 2)).unwrap();
        assert_eq!(begun, Begun { promise: Some(Epoch(4)), detach: Some((Lsn(4), Lsn(5))) });
        assert_eq!((member.history().tail(), member.committed()), (Lsn(3), Lsn(2)));
        member.take(Epoch(4), Lsn(4)).unwrap();
        let again = member.begin(start(4, 4, 4)).unwrap();
        assert_eq!(again, Begun { promise: None, detach: None });
    }

    #[test]
    fn what_was_committed_is_never_cut() {
        let mut member = member(&[1, 1, 1]);
        member.begin(start(1, 3, 3)).unwrap();
        let lost = Alarm::WouldLose { epoch: Epoch(2), common: Lsn(2), committed: Lsn(3) };
        assert_eq!(member.begin(start(2, 2, 0)), Err(lost));
        assert!(matches!(member.restart(Epoch(2), Epoch(2), Lsn(2)), Err(Alarm::WouldLose { .. })));
        assert_eq!((member.history().tail(), member.promised()), (Lsn(3), Epoch(1)));
    }

    #[test]
    fn a_stream_that_cannot_be_is_not_followed() {
        let mut member = member(&[1]);
        assert_eq!(member.take(Epoch(1), Lsn(2)), Err(Alarm::NoStream));
        assert_eq!(member.begin(start(1, 2, 0)), Err(Alarm::Beyond { common: Lsn(2), tail: Lsn(1) }));
        member.begin(start(1, 1, 0)).unwrap();
        let ahead = Alarm::Ahead { at: Lsn(2), got: Epoch(2), stream: Epoch(1) };
        assert_eq!(member.take(Epoch(2), Lsn(2)), Err(ahead));
        assert!(matches!(member.take(Epoch(1), Lsn(3)), Err(Alarm::Unfit(Unfit::Gap { .. }))));
        member.part();
        assert_eq!(member.take(Epoch(1), Lsn(2)), Err(Alarm::NoStream));
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_log() {
        let mut member = member(&[1, 1]);
        member.restart(Epoch(6), Epoch(4), Lsn(90)).unwrap();
        assert_eq!((member.committed(), member.history().advance()), (Lsn(90), (Epoch(4), Lsn(90))));
        member.take(Epoch(5), Lsn(91)).unwrap();
    }
}
