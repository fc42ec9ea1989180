//! Promotion, from the lease to leading: a majority's promises, and the most advanced of their
//! logs.

use super::{
    acceptor::StaleEpoch,
    history::{EpochHistory, RecordId},
    majority,
};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};
use std::{collections::BTreeMap, fmt::Debug};

/// A promotion in progress, at the member that has won the lease.
#[derive(Clone, Debug)]
pub struct Promotion<M> {
    epoch: Epoch,
    me: M,
    members: Vec<M>,
    promised: BTreeMap<M, EpochHistory>,
    /// A record known to have been committed. No member leads without it.
    committed: RecordId,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<M> {
    /// Collect promises; not enough members have promised.
    Gather {
        /// The members that have not promised.
        missing: Vec<M>,
    },
    /// Wait. Enough members have promised, but none of them has every record known to be
    /// committed. Some were rolled back, or the members that have it have not promised.
    Lacking {
        /// The committed record.
        committed: RecordId,
        /// The last record of the most advanced log.
        has: Lsn,
        /// The members that have not promised.
        missing: Vec<M>,
    },
    /// Fetch from a member with a more advanced log the records after `common`, after detaching
    /// this member's own later records. Then report the own log again through
    /// [`Promotion::promised`].
    Fetch {
        /// The member to fetch from.
        from: M,
        /// The common record.
        common: Lsn,
        /// The last record there.
        until: Lsn,
    },
    /// Resign the lease, so that a member with a more advanced log leads: that log no longer
    /// reaches back to this log's end. A snapshot would be wrong, because the records beyond may
    /// not be committed, and a snapshot's end counts as committed.
    Leave {
        /// The member with the more advanced log.
        to: M,
    },
    /// Append the record that begins the epoch, and lead: this log contains everything.
    Begin,
}

impl<M: Clone + Ord + Debug> Promotion<M> {
    /// Starts a promotion in the epoch that was won in the lease, whose claims name the last
    /// `committed` record. The caller sends every member, including `me`, a request to prepare.
    #[must_use]
    pub fn new(epoch: Epoch, me: M, members: Vec<M>, committed: RecordId) -> Self {
        Self { epoch, me, members, promised: BTreeMap::new(), committed }
    }

    /// Returns the epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Notes that a member has promised durably, with its log. Promises of non-members and invalid
    /// histories do not count.
    pub fn promised(&mut self, member: M, history: EpochHistory) {
        if self.members.contains(&member) && history.is_valid() && history.advance().0 <= self.epoch {
            self.promised.insert(member, history);
        }
    }

    /// Handles a rejection. Returns whether it ends the promotion; the caller then resigns the
    /// lease, and uses the member's promise as the floor of the next claim.
    #[must_use]
    pub fn rejected(&self, rejection: StaleEpoch) -> bool {
        rejection.asked == self.epoch && rejection.promised > self.epoch
    }

    /// Returns the next step.
    #[must_use]
    pub fn step(&self) -> Step<M> {
        let own = self.promised.get(&self.me);
        let needed = if active(Mutation::PromoteAlone) { 1 } else { majority(self.members.len()) };
        // A log without records may have been lost together with committed records. It has no vote
        // unless every member has answered, so a new region begins once all its members are up.
        let voters = self.promised.values().filter(|history| history.tail() > Lsn::NONE).count();
        let enough = voters >= needed || self.promised.len() == self.members.len();
        let missing = || self.members.iter().filter(|member| !self.promised.contains_key(member)).cloned().collect();
        let (Some(own), true) = (own, enough) else { return Step::Gather { missing: missing() } };
        let most = self.promised.iter().max_by_key(|(_, history)| rank(history));
        let lacks = most.is_none_or(|(_, history)| !history.has(self.committed));
        if lacks && !active(Mutation::PromoteWithoutCommitted) {
            let has = most.map_or(Lsn::NONE, |(_, history)| history.tail());
            return Step::Lacking { committed: self.committed, has, missing: missing() };
        }
        match most.filter(|(_, history)| rank(history) > rank(own)) {
            Some((from, history)) => match own.common(history) {
                Some(common) => Step::Fetch { from: from.clone(), common, until: history.tail() },
                None => Step::Leave { to: from.clone() },
            },
            None => Step::Begin,
        }
    }
}

fn rank(history: &EpochHistory) -> (Epoch, Lsn) {
    let (epoch, lsn) = history.advance();
    if active(Mutation::PromoteLongestLog) { (Epoch(0), lsn) } else { (epoch, lsn) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(epochs: &[u64]) -> EpochHistory {
        let mut history = EpochHistory::default();
        for (epoch, lsn) in epochs.iter().zip(1..) {
            history.push(Epoch(*epoch), Lsn(lsn)).unwrap();
        }
        history
    }

    #[test]
    fn a_promotion_needs_a_majority_that_includes_itself() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], RecordId::default());
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['a', 'b', 'c'] });
        promotion.promised('b', log(&[1]));
        promotion.promised('c', log(&[1]));
        promotion.promised('z', log(&[1]));
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['a'] });
        promotion.promised('a', log(&[1]));
        assert_eq!(promotion.step(), Step::Begin);
    }

    #[test]
    fn an_empty_log_has_no_vote_unless_all_members_have_answered() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], RecordId::default());
        promotion.promised('a', log(&[]));
        promotion.promised('b', log(&[]));
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['c'] });
        promotion.promised('c', log(&[1, 1]));
        assert_eq!(promotion.step(), Step::Fetch { from: 'c', common: Lsn(0), until: Lsn(2) });
        let mut first = Promotion::new(Epoch(1), 'a', vec!['a', 'b', 'c'], RecordId::default());
        for member in ['a', 'b', 'c'] {
            first.promised(member, log(&[]));
        }
        assert_eq!(first.step(), Step::Begin);
    }

    #[test]
    fn the_most_advanced_log_is_fetched_and_not_the_longest() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], RecordId::default());
        promotion.promised('a', log(&[1, 1, 1, 1]));
        promotion.promised('b', log(&[1, 2, 2]));
        assert_eq!(promotion.step(), Step::Fetch { from: 'b', common: Lsn(1), until: Lsn(3) });
        promotion.promised('a', log(&[1, 2, 2]));
        assert_eq!(promotion.step(), Step::Begin);
    }

    #[test]
    fn a_member_with_more_than_can_be_fetched_should_lead() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], RecordId::default());
        let mut trimmed = log(&[1, 1, 1, 2, 2]);
        trimmed.trim(Lsn(4));
        promotion.promised('a', log(&[1]));
        promotion.promised('b', trimmed);
        assert_eq!(promotion.step(), Step::Leave { to: 'b' });
    }

    #[test]
    fn no_member_leads_without_the_committed_record() {
        let committed = RecordId { epoch: Epoch(2), lsn: Lsn(3) };
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], committed);
        promotion.promised('a', log(&[1, 1]));
        promotion.promised('b', log(&[1]));
        let lacking = |has| Step::Lacking { committed, has: Lsn(has), missing: vec!['c'] };
        assert_eq!(promotion.step(), lacking(2), "one was rolled back, and the other is behind");
        promotion.promised('b', log(&[1, 1, 1, 1]));
        assert_eq!(promotion.step(), lacking(4), "the copy has another record with this LSN");
        promotion.promised('c', log(&[1, 1, 2]));
        assert_eq!(promotion.step(), Step::Fetch { from: 'c', common: Lsn(2), until: Lsn(3) });
    }

    #[test]
    fn impossible_histories_do_not_count() {
        let mut promotion = Promotion::new(Epoch(3), 'a', vec!['a', 'b', 'c'], RecordId::default());
        promotion.promised('a', log(&[1]));
        promotion.promised('b', log(&[4]));
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['b', 'c'] }, "b has records of a future epoch");
        assert!(promotion.rejected(StaleEpoch { asked: Epoch(3), promised: Epoch(4) }));
        assert!(
            !promotion.rejected(StaleEpoch { asked: Epoch(2), promised: Epoch(3) }),
            "a rejection of an earlier epoch"
        );
    }
}
