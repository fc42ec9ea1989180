//! A member that leads: what each of the others has, and so what is committed.

use super::{
    follower::{Refused, Start},
    history::History,
    majority,
};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};
use std::{collections::BTreeMap, fmt::Debug};

/// A leadership.
#[derive(Clone, Debug)]
pub struct Leading<M> {
    epoch: Epoch,
    me: M,
    members: Vec<M>,
    /// The record that began the epoch.
    begin: Lsn,
    /// Up to where each member's log is this one's, durably, since its stream began.
    durable: BTreeMap<M, Lsn>,
    committed: Lsn,
}

/// How a member that wants to follow is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// With records.
    Start(Start),
    /// With a snapshot: what follows its last common record is no longer here.
    Snapshot,
}

/// Why a member is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    /// It is not one of this region's members.
    #[error("it is no member of this region; name it in the configuration of all members")]
    Stranger,
    /// Its history cannot be.
    #[error("what it says of its log cannot be; look at its disk")]
    Unsound,
    /// It knows of a newer epoch: this leadership is over.
    #[error(transparent)]
    Over(#[from] Refused),
}

impl<M: Clone + Ord + Debug> Leading<M> {
    /// The record `begin`, the first of `epoch`, is appended here.
    #[must_use]
    pub fn new(epoch: Epoch, me: M, members: Vec<M>, begin: Lsn) -> Self {
        Self { epoch, me, members, begin, durable: BTreeMap::new(), committed: Lsn::NONE }
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What is committed, as far as is known here; [`Lsn::NONE`] until the record that began the epoch is.
    #[must_use]
    pub const fn committed(&self) -> Lsn {
        self.committed
    }

    /// A member wants to follow. `own` is this member's log now.
    ///
    /// # Errors
    /// [`NotJoined`]. After [`NotJoined::Over`] this member is to step down.
    pub fn joined(
        &mut self,
        member: &M,
        promised: Epoch,
        theirs: &History,
        own: &History,
    ) -> Result<Joined, NotJoined> {
        if !self.members.contains(member) {
            return Err(NotJoined::Stranger);
        }
        if promised > self.epoch || theirs.advance().0 > self.epoch {
            let promised = promised.max(theirs.advance().0);
            return Err(Refused { asked: self.epoch, promised }.into());
        }
        if !theirs.is_sound() {
            return Err(NotJoined::Unsound);
        }
        // Until it reports, nothing is known of what it will keep.
        self.durable.remove(member);
        Ok(match own.common(theirs) {
            Some(common) => Joined::Start(Start { epoch: self.epoch, common, committed: self.committed }),
            None => Joined::Snapshot,
        })
    }

    /// A member, this one included, has everything up to `lsn` durably. True when more is committed by that.
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
        // Records of older epochs are committed only together with one of this.
        let grows = at_majority > self.committed && (at_majority >= self.begin || active(Mutation::CommitOldEpochs));
        if grows {
            self.committed = at_majority;
        }
        grows
    }

    /// Whether a write up to `lsn` may be acknowledged as durable at a majority. The lease is asked besides.
    #[must_use]
    pub fn is_committed(&self, lsn: Lsn) -> bool {
        lsn <= self.committed
    }

    /// This member.
    #[must_use]
    pub const fn me(&self) -> &M {
        &self.me
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading() -> (Leading<char>, History) {
        let mut own = History::default();
        for (epoch, lsn) in [(1, 1), (1, 2), (1, 3), (5, 4)] {
            own.push(Epoch(epoch), Lsn(lsn)).unwrap();
        }
        (Leading::new(Epoch(5), 'a', vec!['a', 'b', 'c'], Lsn(4)), own)
    }

    #[test]
    fn committed_is_what_a_majority_has_and_not_before_the_epoch_has_begun() {
        let (mut leading, _) = leading();
        assert!(!leading.durable(&'a', Lsn(4)));
        assert!(!leading.durable(&'b', Lsn(3)), "records of an older epoch alone");
        assert_eq!(leading.committed(), Lsn::NONE);
        assert!(leading.durable(&'b', Lsn(4)));
        assert!(!leading.durable(&'z', Lsn(9)) && !leading.durable(&'b', Lsn(9)));
        assert_eq!(leading.committed(), Lsn(4));
        assert!(leading.durable(&'c', Lsn(7)), "two of three have it, whoever they are");
        assert!(leading.is_committed(Lsn(7)) && !leading.is_committed(Lsn(8)));
    }

    #[test]
    fn a_member_joins_where_its_log_parts() {
        let (mut leading, own) = leading();
        let mut theirs = History::default();
        for (epoch, lsn) in [(1, 1), (1, 2), (2, 3), (2, 4), (2, 5)] {
            theirs.push(Epoch(epoch), Lsn(lsn)).unwrap();
        }
        let start = Start { epoch: Epoch(5), common: Lsn(2), committed: Lsn::NONE };
        assert_eq!(leading.joined(&'b', Epoch(5), &theirs, &own), Ok(Joined::Start(start)));
        assert_eq!(leading.joined(&'z', Epoch(5), &theirs, &own), Err(NotJoined::Stranger));
        let over = Refused { asked: Epoch(5), promised: Epoch(6) };
        assert_eq!(leading.joined(&'b', Epoch(6), &theirs, &own), Err(NotJoined::Over(over)));
        let mut trimmed = own.clone();
        trimmed.trim(Lsn(3));
        assert_eq!(leading.joined(&'b', Epoch(5), &theirs, &trimmed), Ok(Joined::Snapshot));
    }

    #[test]
    fn what_a_member_had_before_it_joined_again_does_not_count() {
        let (mut leading, own) = leading();
        leading.durable(&'a', Lsn(9));
        leading.durable(&'b', Lsn(4));
        leading.joined(&'b', Epoch(5), &History::default(), &own).unwrap();
        assert!(!leading.durable(&'b', Lsn(2)));
        assert_eq!(leading.committed(), Lsn(4), "what is committed stays so");
    }
}
