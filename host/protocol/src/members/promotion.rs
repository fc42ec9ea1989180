//! From the lease to leading: a majority's promises, and the most advanced of their logs.

use super::{
    follower::Refused,
    history::{History, Mark},
    majority,
};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};
use std::{collections::BTreeMap, fmt::Debug};

/// A promotion under way, at the member that has won the lease.
#[derive(Clone, Debug)]
pub struct Promotion<M> {
    epoch: Epoch,
    me: M,
    members: Vec<M>,
    promised: BTreeMap<M, History>,
    /// Known to have been committed: nobody leads without it.
    committed: Mark,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<M> {
    /// Not enough members have promised.
    Gather {
        /// These have not answered.
        missing: Vec<M>,
    },
    /// Enough members have promised, and none of them has all that is known to have been committed: some were put back to an older
    /// copy, or those that have it have not answered.
    Lacking {
        /// What was committed.
        committed: Mark,
        /// The end of the most advanced log.
        has: Lsn,
        /// These have not answered.
        missing: Vec<M>,
    },
    /// A member's log is more advanced: what it has beyond `common` is to be fetched, after one's own beyond it was detached. Then
    /// the own log is told again, by [`Promotion::promised`].
    Fetch {
        /// From whom.
        from: M,
        /// The last record that both have alike.
        common: Lsn,
        /// The last record there.
        until: Lsn,
    },
    /// A member's log is more advanced, and does not reach back to this one's end: the lease is to be resigned, so that who has more
    /// leads. A snapshot would not do: what it has beyond may not be committed, and a snapshot's end counts as that.
    Leave {
        /// Who has more.
        to: M,
    },
    /// The own log has everything: the record that begins the epoch is to be appended, and then this member leads.
    Begin,
}

impl<M: Clone + Ord + Debug> Promotion<M> {
    /// The epoch was won in the lease, whose claims say what was `committed`. Everyone in `members`, `me` among them, is to be asked
    /// to prepare for it.
    #[must_use]
    pub fn new(epoch: Epoch, me: M, members: Vec<M>, committed: Mark) -> Self {
        Self { epoch, me, members, promised: BTreeMap::new(), committed }
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A member has promised, durably, and told its log. Strangers' promises count for nothing, nor do histories that
    /// cannot be.
    pub fn promised(&mut self, member: M, history: History) {
        if self.members.contains(&member) && history.is_sound() && history.advance().0 <= self.epoch {
            self.promised.insert(member, history);
        }
    }

    /// A member refuses. True when that ends the promotion: the lease is to be resigned, and the next one asked for with
    /// what the member has promised as its floor.
    #[must_use]
    pub fn refused(&self, refused: Refused) -> bool {
        refused.asked == self.epoch && refused.promised > self.epoch
    }

    /// What is to be done next.
    #[must_use]
    pub fn step(&self) -> Step<M> {
        let own = self.promised.get(&self.me);
        let needed = if active(Mutation::PromoteAlone) { 1 } else { majority(self.members.len()) };
        // A log without records may be one that was lost, and what was committed with it: it stands for nothing, unless
        // everybody has answered. So a region begins when all its members are there once.
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

fn rank(history: &History) -> (Epoch, Lsn) {
    let (epoch, lsn) = history.advance();
    if active(Mutation::PromoteLongestLog) { (Epoch(0), lsn) } else { (epoch, lsn) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(epochs: &[u64]) -> History {
        let mut history = History::default();
        for (epoch, lsn) in epochs.iter().zip(1..) {
            history.push(Epoch(*epoch), Lsn(lsn)).unwrap();
        }
        history
    }

    #[test]
    fn nothing_begins_without_a_majority_that_includes_oneself() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], Mark::default());
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['a', 'b', 'c'] });
        promotion.promised('b', log(&[1]));
        promotion.promised('c', log(&[1]));
        promotion.promised('z', log(&[1]));
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['a'] });
        promotion.promised('a', log(&[1]));
        assert_eq!(promotion.step(), Step::Begin);
    }

    #[test]
    fn an_empty_log_stands_for_nothing_unless_everybody_has_answered() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], Mark::default());
        promotion.promised('a', log(&[]));
        promotion.promised('b', log(&[]));
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['c'] });
        promotion.promised('c', log(&[1, 1]));
        assert_eq!(promotion.step(), Step::Fetch { from: 'c', common: Lsn(0), until: Lsn(2) });
        let mut first = Promotion::new(Epoch(1), 'a', vec!['a', 'b', 'c'], Mark::default());
        for member in ['a', 'b', 'c'] {
            first.promised(member, log(&[]));
        }
        assert_eq!(first.step(), Step::Begin);
    }

    #[test]
    fn the_most_advanced_log_is_fetched_and_not_the_longest() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], Mark::default());
        promotion.promised('a', log(&[1, 1, 1, 1]));
        promotion.promised('b', log(&[1, 2, 2]));
        assert_eq!(promotion.step(), Step::Fetch { from: 'b', common: Lsn(1), until: Lsn(3) });
        promotion.promised('a', log(&[1, 2, 2]));
        assert_eq!(promotion.step(), Step::Begin);
    }

    #[test]
    fn who_has_more_than_can_be_fetched_is_left_to_lead() {
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], Mark::default());
        let mut trimmed = log(&[1, 1, 1, 2, 2]);
        trimmed.trim(Lsn(4));
        promotion.promised('a', log(&[1]));
        promotion.promised('b', trimmed);
        assert_eq!(promotion.step(), Step::Leave { to: 'b' });
    }

    #[test]
    fn nobody_leads_without_what_was_committed() {
        let committed = Mark { epoch: Epoch(2), lsn: Lsn(3) };
        let mut promotion = Promotion::new(Epoch(9), 'a', vec!['a', 'b', 'c'], committed);
        promotion.promised('a', log(&[1, 1]));
        promotion.promised('b', log(&[1]));
        let lacking = |has| Step::Lacking { committed, has: Lsn(has), missing: vec!['c'] };
        assert_eq!(promotion.step(), lacking(2), "one was put back to an older copy, and the other is behind");
        promotion.promised('b', log(&[1, 1, 1, 1]));
        assert_eq!(promotion.step(), lacking(4), "the copy has the number, and another record under it");
        promotion.promised('c', log(&[1, 1, 2]));
        assert_eq!(promotion.step(), Step::Fetch { from: 'c', common: Lsn(2), until: Lsn(3) });
    }

    #[test]
    fn what_cannot_be_counts_for_nothing() {
        let mut promotion = Promotion::new(Epoch(3), 'a', vec!['a', 'b', 'c'], Mark::default());
        promotion.promised('a', log(&[1]));
        promotion.promised('b', log(&[4]));
        assert_eq!(promotion.step(), Step::Gather { missing: vec!['b', 'c'] }, "b has records of an epoch to come");
        assert!(promotion.refused(Refused { asked: Epoch(3), promised: Epoch(4) }));
        assert!(!promotion.refused(Refused { asked: Epoch(2), promised: Epoch(3) }), "an answer to an earlier one");
    }
}
