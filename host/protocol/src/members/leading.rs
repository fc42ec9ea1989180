//! A leadership: what each member has durably, and so what is committed.

use super::{
    acceptor::{StaleEpoch, Start},
    history::EpochHistory,
    majority,
};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};
use std::{collections::BTreeMap, fmt::Debug};

/// The state of a leadership.
#[derive(Clone, Debug)]
pub struct Leading<M> {
    epoch: Epoch,
    me: M,
    members: Vec<M>,
    /// The record that began the epoch.
    begin: Lsn,
    /// For each member, the record up to which its log durably equals this one since its stream
    /// began.
    durable: BTreeMap<M, Lsn>,
    committed: Lsn,
}

/// The reply to a member that requests to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The member continues with records.
    Start(Start),
    /// The member needs a snapshot, because the records after the common one are no longer in the
    /// log.
    Snapshot,
}

/// Why a member may not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    /// It is not a member of this region.
    #[error("it is not a member of this region; list it in the configuration of every member")]
    Stranger,
    /// Its history is invalid.
    #[error("the epoch history of its log is invalid; check its disk")]
    Unsound,
    /// It has promised a newer epoch, so this leadership has ended.
    #[error(transparent)]
    Over(#[from] StaleEpoch),
}

impl<M: Clone + Ord + Debug> Leading<M> {
    /// Begins a leadership whose first record, `begin`, is appended here.
    #[must_use]
    pub fn new(epoch: Epoch, me: M, members: Vec<M>, begin: Lsn) -> Self {
        Self { epoch, me, members, begin, durable: BTreeMap::new(), committed: Lsn::NONE }
    }

    /// Returns the epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the last record known to be committed; [`Lsn::NONE`] until the epoch's first record
    /// is committed.
    #[must_use]
    pub const fn committed(&self) -> Lsn {
        self.committed
    }

    /// Handles a member's request to follow. `own` is this member's current log.
    ///
    /// # Errors
    /// [`NotJoined`]. After [`NotJoined::Over`] this member must step down.
    pub fn joined(
        &mut self,
        member: &M,
        promised: Epoch,
        theirs: &EpochHistory,
        own: &EpochHistory,
    ) -> Result<Joined, NotJoined> {
        if !self.members.contains(member) {
            return Err(NotJoined::Stranger);
        }
        if promised > self.epoch || theirs.advance().0 > self.epoch {
            let promised = promised.max(theirs.advance().0);
            return Err(StaleEpoch { asked: self.epoch, promised }.into());
        }
        if !theirs.is_valid() {
            return Err(NotJoined::Unsound);
        }
        // Until it reports, it is unknown which records it will keep.
        self.durable.remove(member);
        Ok(match own.common(theirs) {
            Some(common) => Joined::Start(Start { epoch: self.epoch, common, committed: self.committed }),
            None => Joined::Snapshot,
        })
    }

    /// Notes that a member, possibly this one, has everything up to `lsn` durably. Returns whether
    /// more is committed now.
    pub fn durable(&mut self, member: &M, lsn: Lsn) -> bool {
        if !self.members.contains(member) {
            return false;
        }
        let had = self.durable.entry(member.clone()).or_insert(Lsn::NONE);
        *had = lsn.max(*had);
        let mut durable: Vec<Lsn> =
            self.members.iter().filter_map(|member| self.durable.get(member).copied()).collect();
        durable.sort_unstable_by(|a, b| b.cmp(a));
        let needed = majority(self.members.len());
        let Some(at_majority) = durable.get(needed - 1).copied() else { return false };
        // Records of older epochs are committed only together with one of this epoch.
        let grows = at_majority > self.committed && (at_majority >= self.begin || active(Mutation::CommitOldEpochs));
        if grows {
            self.committed = at_majority;
        }
        grows
    }

    /// Returns whether a write up to `lsn` is durable at a majority. The caller also checks the
    /// lease before it acknowledges the write.
    #[must_use]
    pub fn is_committed(&self, lsn: Lsn) -> bool {
        lsn <= self.committed
    }

    /// Returns this member.
    #[must_use]
    pub const fn me(&self) -> &M {
        &self.me
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading() -> (Leading<char>, EpochHistory) {
        let mut own = EpochHistory::default();
        for (epoch, lsn) in [(1, 1), (1, 2), (1, 3), (5, 4)] {
            own.push(Epoch(epoch), Lsn(lsn)).unwrap();
        }
        (Leading::new(Epoch(5), 'a', vec!['a', 'b', 'c'], Lsn(4)), own)
    }

    #[test]
    fn records_are_committed_by_a_majority_and_only_after_the_epochs_first_record() {
        let (mut leading, _) = leading();
        assert!(!leading.durable(&'a', Lsn(4)));
        assert!(!leading.durable(&'b', Lsn(3)), "records of an older epoch alone");
        assert_eq!(leading.committed(), Lsn::NONE);
        assert!(leading.durable(&'b', Lsn(4)));
        assert!(!leading.durable(&'z', Lsn(9)) && !leading.durable(&'b', Lsn(9)));
        assert_eq!(leading.committed(), Lsn(4));
        assert!(leading.durable(&'c', Lsn(7)), "two of three have it, whichever they are");
        assert!(leading.is_committed(Lsn(7)) && !leading.is_committed(Lsn(8)));
    }

    #[test]
    fn a_member_joins_at_the_common_record() {
        let (mut leading, own) = leading();
        let mut theirs = EpochHistory::default();
        for (epoch, lsn) in [(1, 1), (1, 2), (2, 3), (2, 4), (2, 5)] {
            theirs.push(Epoch(epoch), Lsn(lsn)).unwrap();
        }
        let start = Start { epoch: Epoch(5), common: Lsn(2), committed: Lsn::NONE };
        assert_eq!(leading.joined(&'b', Epoch(5), &theirs, &own), Ok(Joined::Start(start)));
        assert_eq!(leading.joined(&'z', Epoch(5), &theirs, &own), Err(NotJoined::Stranger));
        let over = StaleEpoch { asked: Epoch(5), promised: Epoch(6) };
        assert_eq!(leading.joined(&'b', Epoch(6), &theirs, &own), Err(NotJoined::Over(over)));
        let mut trimmed = own.clone();
        trimmed.trim(Lsn(3));
        assert_eq!(leading.joined(&'b', Epoch(5), &theirs, &trimmed), Ok(Joined::Snapshot));
    }

    #[test]
    fn records_reported_before_a_member_joined_again_do_not_count() {
        let (mut leading, own) = leading();
        leading.durable(&'a', Lsn(9));
        leading.durable(&'b', Lsn(4));
        leading.joined(&'b', Epoch(5), &EpochHistory::default(), &own).unwrap();
        assert!(!leading.durable(&'b', Lsn(2)));
        assert_eq!(leading.committed(), Lsn(4), "what is committed stays so");
    }
}
