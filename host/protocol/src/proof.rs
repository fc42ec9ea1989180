//! A replica proves itself equal to its leader: which checkpoints count, what differs, what is mended, and when mending
//! is given up for a whole snapshot.
//!
//! A round begins with a checkpoint at the very record that is applied. The replica's kept digests are compared at once.
//! Then a scrub adds up the rows themselves, as kept digests do not notice memory that changes by itself. What either has
//! found is mended, bucket by bucket, and the next checkpoint shows whether that has helped.

use littoral_model::{
    digest::{Checkpoint, ViewDigest},
    hlc::Hlc,
    mutation::{Mutation, active},
    position::Lsn,
    view::ViewId,
};
use std::collections::{BTreeMap, BTreeSet};

/// A bucket that differs again after this many repairs is not to be helped so.
pub const REPAIRS_MAX: u32 = 2;
/// More buckets than this at once are not mended one by one: a snapshot is quicker.
pub const BUCKETS_MAX: usize = 64;

/// A bucket of a view.
pub type Bucket = (ViewId, u8);

/// What to do next. The outcome is reported with the number of its round: one that arrives after its round has ended, because
/// another replica is served since, changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Add up the rows, then call [`Prover::scrubbed`] or [`Prover::not_scrubbed`].
    Scrub {
        /// The round.
        round: u64,
    },
    /// Fetch these buckets from the leader and make the replica's the same, then call [`Prover::repaired`] or
    /// [`Prover::not_repaired`].
    Repair {
        /// The round.
        round: u64,
        /// What to mend.
        buckets: Vec<Bucket>,
    },
    /// Mending has not helped, or too much differs: take a whole snapshot, then call [`Prover::restart`].
    Snapshot,
}

/// When a view was last proven equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// As of which record.
    pub lsn: Lsn,
    /// When the leader took the digests, by its clock.
    pub at: Hlc,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Scrubbing,
    Repairing,
}

/// What a round has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Counts rounds since the replica began.
    pub number: u64,
    /// The checkpoint's record.
    pub lsn: Lsn,
    /// Views that were compared.
    pub compared: BTreeSet<ViewId>,
    /// Buckets whose digests were not the leader's.
    pub differed: BTreeSet<Bucket>,
    /// Buckets whose rows were not what was written to them.
    pub spoilt: BTreeSet<Bucket>,
}

/// One replica's proof.
#[derive(Clone, Debug, Default)]
pub struct Prover {
    /// Before this record the replica may hold rows that are newer than its position: it has nothing to compare.
    exact_from: Lsn,
    phase: Phase,
    round: Round,
    finished: Option<Round>,
    /// What is to be mended, or is being mended.
    broken: BTreeSet<Bucket>,
    /// How often buckets were mended without being found equal since.
    repairs: BTreeMap<Bucket, u32>,
    proven: BTreeMap<ViewId, Proven>,
}

impl Prover {
    /// The proof of a replica whose rows are as of one record from `exact_from` on.
    #[must_use]
    pub fn new(exact_from: Lsn) -> Self {
        Self { exact_from, ..Self::default() }
    }

    /// The record before which there is nothing to compare, as rows may be newer than the position.
    #[must_use]
    pub fn exact_from(&self) -> Lsn {
        self.exact_from
    }

    /// Another replica has taken this one's place; nothing is known of it.
    pub fn restart(&mut self, exact_from: Lsn) {
        *self = Self { round: Round { number: self.round.number, ..Round::default() }, ..Self::new(exact_from) };
    }

    /// Compares. `mine` are the digests of what is held whole here, exactly as of the checkpoint's record: the
    /// subscriber lets no other checkpoint through. Views that only one of both names prove nothing and break nothing.
    pub fn checkpoint(&mut self, theirs: &Checkpoint, mine: &[ViewDigest]) -> Option<Step> {
        if theirs.lsn < self.exact_from {
            return None;
        }
        let begins = self.phase == Phase::Idle;
        if begins {
            let number = self.round.number + 1;
            self.round = Round { number, lsn: theirs.lsn, ..Round::default() };
        }
        let busy = if begins { BTreeSet::new() } else { self.broken.clone() };
        let mut given_up = false;
        for mine in mine {
            let Some(theirs_view) = theirs.views.iter().find(|theirs| theirs.view == mine.view) else { continue };
            let differing: Vec<Bucket> =
                mine.digest.differing(&theirs_view.digest).map(|bucket| (mine.view, bucket)).collect();
            self.round.compared.insert(mine.view);
            if differing.is_empty() {
                self.proven.insert(mine.view, Proven { lsn: theirs.lsn, at: theirs.at });
                self.repairs.retain(|(view, _), _| *view != mine.view);
                continue;
            }
            // What is being mended may be seen half mended.
            for bucket in differing.into_iter().filter(|bucket| !busy.contains(bucket)) {
                given_up |= self.repairs.get(&bucket).is_some_and(|repairs| *repairs >= REPAIRS_MAX);
                self.round.differed.insert(bucket);
                self.broken.insert(bucket);
            }
        }
        if given_up || self.broken.len() > BUCKETS_MAX {
            return Some(Step::Snapshot);
        }
        begins.then(|| {
            self.phase = Phase::Scrubbing;
            Step::Scrub { round: self.round.number }
        })
    }

    /// Whether an outcome of `phase` that was reported for `round` is the one that is waited for.
    fn awaits(&self, phase: &Phase, round: u64) -> bool {
        (self.phase == *phase && self.round.number == round) || active(Mutation::HeedStaleRound)
    }

    /// The rows were added up; `spoilt` are the buckets whose kept sums did not say what the rows are. They say so now.
    pub fn scrubbed(&mut self, round: u64, spoilt: impl IntoIterator<Item = Bucket>) -> Option<Step> {
        if !self.awaits(&Phase::Scrubbing, round) {
            return None;
        }
        for bucket in spoilt {
            // What was proven by sums that did not speak of the rows was not proven.
            self.proven.remove(&bucket.0);
            self.round.spoilt.insert(bucket);
            self.broken.insert(bucket);
        }
        if self.broken.is_empty() {
            self.end_round();
            return None;
        }
        if self.broken.len() > BUCKETS_MAX {
            return Some(Step::Snapshot);
        }
        self.phase = Phase::Repairing;
        for bucket in &self.broken {
            *self.repairs.entry(*bucket).or_default() += 1;
        }
        Some(Step::Repair { round, buckets: self.broken.iter().copied().collect() })
    }

    /// The rows could not be added up this time.
    pub fn not_scrubbed(&mut self, round: u64) {
        if !self.awaits(&Phase::Scrubbing, round) {
            return;
        }
        self.phase = Phase::Idle;
        self.broken.clear();
    }

    /// What was broken is mended; a row that was put in may be as new as `exact_from`.
    pub fn repaired(&mut self, round: u64, exact_from: Lsn) {
        if !self.awaits(&Phase::Repairing, round) {
            return;
        }
        self.exact_from = self.exact_from.max(exact_from);
        self.end_round();
    }

    /// The leader could not be asked. The next checkpoint finds the difference again.
    pub fn not_repaired(&mut self, round: u64) {
        if !self.awaits(&Phase::Repairing, round) {
            return;
        }
        for bucket in std::mem::take(&mut self.broken) {
            if let Some(repairs) = self.repairs.get_mut(&bucket) {
                *repairs = repairs.saturating_sub(1);
            }
        }
        self.phase = Phase::Idle;
    }

    /// The last round that ended.
    #[must_use]
    pub fn finished(&self) -> Option<&Round> {
        self.finished.as_ref()
    }

    /// Whether buckets are being mended.
    #[must_use]
    pub fn is_repairing(&self) -> bool {
        self.phase == Phase::Repairing
    }

    /// When each view was last proven equal.
    #[must_use]
    pub fn proven(&self) -> &BTreeMap<ViewId, Proven> {
        &self.proven
    }

    fn end_round(&mut self) {
        self.phase = Phase::Idle;
        self.broken.clear();
        self.finished = Some(self.round.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::digest::{Digest, Sum};

    const VIEW: ViewId = ViewId(1);

    fn digest(spoil: &[u8]) -> ViewDigest {
        let mut digest = Digest::default();
        spoil.iter().for_each(|bucket| digest.set(*bucket, Sum { low: 1, high: 0 }));
        ViewDigest { view: VIEW, rows: 0, digest }
    }

    fn at(lsn: u64) -> Checkpoint {
        Checkpoint { lsn: Lsn(lsn), at: Hlc(lsn), views: vec![digest(&[])] }
    }

    fn scrub(round: u64) -> Step {
        Step::Scrub { round }
    }

    fn repair(round: u64, buckets: &[u8]) -> Step {
        Step::Repair { round, buckets: buckets.iter().map(|bucket| (VIEW, *bucket)).collect() }
    }

    #[test]
    fn equal_rows_are_proven_and_nothing_is_mended() {
        let mut prover = Prover::new(Lsn(5));
        assert_eq!(prover.checkpoint(&at(4), &[digest(&[9])]), None, "rows may be newer than the position");
        assert_eq!(prover.checkpoint(&at(5), &[digest(&[])]), Some(scrub(1)));
        assert_eq!(prover.scrubbed(1, []), None);
        assert_eq!(prover.proven()[&VIEW], Proven { lsn: Lsn(5), at: Hlc(5) });
        assert!(prover.finished().is_some_and(|round| round.differed.is_empty() && round.compared.contains(&VIEW)));
    }

    #[test]
    fn what_differs_and_what_is_spoilt_is_mended_together() {
        let mut prover = Prover::default();
        assert_eq!(prover.checkpoint(&at(1), &[digest(&[9])]), Some(scrub(1)));
        assert_eq!(prover.scrubbed(1, [(VIEW, 3)]), Some(repair(1, &[3, 9])));
        assert!(prover.is_repairing());
        assert_eq!(prover.checkpoint(&at(2), &[digest(&[9])]), None, "it is being mended");
        prover.repaired(1, Lsn(4));
        assert_eq!(prover.checkpoint(&at(3), &[digest(&[9])]), None, "a row that was put in is newer");
        assert_eq!(prover.checkpoint(&at(4), &[digest(&[])]), Some(scrub(2)));
        assert_eq!(prover.proven()[&VIEW].lsn, Lsn(4));
    }

    #[test]
    fn a_spoilt_view_is_not_proven_by_sums_that_did_not_notice() {
        let mut prover = Prover::default();
        prover.checkpoint(&at(1), &[digest(&[])]);
        assert!(prover.proven().contains_key(&VIEW));
        assert_eq!(prover.scrubbed(1, [(VIEW, 3)]), Some(repair(1, &[3])));
        assert!(prover.proven().is_empty());
    }

    #[test]
    fn a_bucket_that_differs_again_after_two_repairs_takes_a_snapshot() {
        let mut prover = Prover::default();
        for lsn in 1..=2 {
            assert_eq!(prover.checkpoint(&at(lsn), &[digest(&[9])]), Some(scrub(lsn)));
            assert_eq!(prover.scrubbed(lsn, []), Some(repair(lsn, &[9])));
            prover.repaired(lsn, Lsn::NONE);
        }
        assert_eq!(prover.checkpoint(&at(3), &[digest(&[9])]), Some(Step::Snapshot));
        prover.restart(Lsn(3));
        assert_eq!(prover.checkpoint(&at(4), &[digest(&[9])]), Some(scrub(4)), "a new replica begins anew");
    }

    #[test]
    fn a_leader_that_cannot_be_asked_counts_for_nothing() {
        let mut prover = Prover::default();
        for lsn in 1..=9 {
            assert_eq!(prover.checkpoint(&at(lsn), &[digest(&[9])]), Some(scrub(lsn)));
            assert_eq!(prover.scrubbed(lsn, []), Some(repair(lsn, &[9])));
            prover.not_repaired(lsn);
        }
    }

    /// The edge replaced its replica while a bucket was fetched for the one before; the fetch failed while the new one's rows were
    /// added up. A difference that the new round had found was forgotten, and the round found the rows equal.
    #[test]
    fn an_outcome_of_a_round_that_has_ended_changes_nothing() {
        let mut prover = Prover::default();
        assert_eq!(prover.checkpoint(&at(1), &[digest(&[9])]), Some(scrub(1)));
        assert_eq!(prover.scrubbed(1, []), Some(repair(1, &[9])));
        prover.restart(Lsn(2));
        assert_eq!(prover.checkpoint(&at(2), &[digest(&[7])]), Some(scrub(2)));
        prover.not_repaired(1);
        prover.repaired(1, Lsn(50));
        assert_eq!((prover.scrubbed(1, [(VIEW, 3)]), prover.exact_from()), (None, Lsn(2)));
        assert_eq!(prover.scrubbed(2, []), Some(repair(2, &[7])), "what the new round has found is mended");
        prover.not_scrubbed(2);
        prover.not_repaired(1);
        prover.repaired(1, Lsn(50));
        assert!(prover.is_repairing());
        prover.repaired(2, Lsn(4));
        assert!(!prover.is_repairing() && prover.finished().is_some_and(|round| round.number == 2));
    }

    #[test]
    fn too_much_at_once_takes_a_snapshot() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(Prover::default().checkpoint(&at(1), &[digest(&all)]), Some(Step::Snapshot));
    }

    #[test]
    fn a_view_that_the_leader_does_not_vouch_for_is_neither_proven_nor_broken() {
        let mut prover = Prover::default();
        let silent = Checkpoint { views: Vec::new(), ..at(1) };
        assert_eq!(prover.checkpoint(&silent, &[digest(&[9])]), Some(scrub(1)));
        assert_eq!(prover.scrubbed(1, []), None);
        assert!(prover.proven().is_empty());
    }
}
