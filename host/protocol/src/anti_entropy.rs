//! Anti-entropy: the comparison of a replica with its leader. It decides which checkpoints count,
//! what differs, what is repaired, and when a whole snapshot replaces repairs.
//!
//! A round begins with a checkpoint at exactly the record that is applied. First the replica's
//! kept digests are compared. Then a scrub re-hashes the rows themselves, because kept digests do
//! not detect memory corruption. The differences from both are repaired, bucket by bucket, and the
//! next checkpoint shows whether the repair succeeded.

use littoral_model::{
    digest::{Checkpoint, ViewDigest},
    hlc::Hlc,
    mutation::{Mutation, active},
    position::Lsn,
    view::ViewId,
};
use std::collections::{BTreeMap, BTreeSet};

/// After this many repairs, a bucket that differs again is not repaired but replaced by a
/// snapshot.
pub const REPAIRS_MAX: u32 = 2;
/// If more buckets than this differ at once, they are replaced by a snapshot, which is faster.
pub const BUCKETS_MAX: usize = 64;

/// A bucket of a view.
pub type Bucket = (ViewId, u8);

/// The next step. The caller reports the outcome with the number of its round. An outcome that
/// arrives after its round has ended, because another replica is now served, changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Re-hash the rows, then call [`AntiEntropy::scrubbed`] or [`AntiEntropy::not_scrubbed`].
    Scrub {
        /// The round.
        round: u64,
    },
    /// Fetch these buckets from the leader and make the replica's equal, then call
    /// [`AntiEntropy::repaired`] or [`AntiEntropy::not_repaired`].
    Repair {
        /// The round.
        round: u64,
        /// The buckets to repair.
        buckets: Vec<Bucket>,
    },
    /// Install a whole snapshot, because repairs failed or too much differs. Then call
    /// [`AntiEntropy::restart`].
    Snapshot,
}

/// When a view was last verified to equal the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The record of the comparison.
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

/// The findings of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The number of rounds since the replica started.
    pub number: u64,
    /// The checkpoint's record.
    pub lsn: Lsn,
    /// The views that were compared.
    pub compared: BTreeSet<ViewId>,
    /// The buckets whose digests differed from the leader's.
    pub differed: BTreeSet<Bucket>,
    /// The buckets whose rows had changed in memory.
    pub corrupted: BTreeSet<Bucket>,
}

/// The anti-entropy state of one replica.
#[derive(Clone, Debug, Default)]
pub struct AntiEntropy {
    /// Before this record the replica may hold rows newer than its position, so nothing can be
    /// compared.
    exact_from: Lsn,
    phase: Phase,
    round: Round,
    finished: Option<Round>,
    /// The buckets to repair, or under repair.
    broken: BTreeSet<Bucket>,
    /// How often each bucket was repaired since it was last found equal.
    repairs: BTreeMap<Bucket, u32>,
    verified: BTreeMap<ViewId, Verified>,
}

impl AntiEntropy {
    /// Starts with a replica whose rows are exactly as of its position from `exact_from` on.
    #[must_use]
    pub fn new(exact_from: Lsn) -> Self {
        Self { exact_from, ..Self::default() }
    }

    /// Returns the record before which nothing can be compared, because rows may be newer than the
    /// position.
    #[must_use]
    pub fn exact_from(&self) -> Lsn {
        self.exact_from
    }

    /// Restarts with another replica, about which nothing is known.
    pub fn restart(&mut self, exact_from: Lsn) {
        *self = Self { round: Round { number: self.round.number, ..Round::default() }, ..Self::new(exact_from) };
    }

    /// Compares digests with a checkpoint. `mine` are the digests of the views that are held
    /// whole, exactly as of the checkpoint's record, because the subscriber accepts no other
    /// checkpoint. A view that only one side lists is neither verified nor repaired.
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
        let mut repairs_exhausted = false;
        for mine in mine {
            let Some(theirs_view) = theirs.views.iter().find(|theirs| theirs.view == mine.view) else { continue };
            let differing: Vec<Bucket> =
                mine.digest.differing(&theirs_view.digest).map(|bucket| (mine.view, bucket)).collect();
            self.round.compared.insert(mine.view);
            if differing.is_empty() {
                self.verified.insert(mine.view, Verified { lsn: theirs.lsn, at: theirs.at });
                self.repairs.retain(|(view, _), _| *view != mine.view);
                continue;
            }
            // A bucket under repair may be partly repaired.
            for bucket in differing.into_iter().filter(|bucket| !busy.contains(bucket)) {
                repairs_exhausted |= self.repairs.get(&bucket).is_some_and(|repairs| *repairs >= REPAIRS_MAX);
                self.round.differed.insert(bucket);
                self.broken.insert(bucket);
            }
        }
        if repairs_exhausted || self.broken.len() > BUCKETS_MAX {
            return Some(Step::Snapshot);
        }
        begins.then(|| {
            self.phase = Phase::Scrubbing;
            Step::Scrub { round: self.round.number }
        })
    }

    /// Returns whether the outcome of `phase` in `round` is expected now.
    fn awaits(&self, phase: &Phase, round: u64) -> bool {
        (self.phase == *phase && self.round.number == round) || active(Mutation::HeedStaleRound)
    }

    /// Handles a completed scrub. `corrupted` are the buckets whose kept sums did not match their
    /// rows. The sums are correct now.
    pub fn scrubbed(&mut self, round: u64, corrupted: impl IntoIterator<Item = Bucket>) -> Option<Step> {
        if !self.awaits(&Phase::Scrubbing, round) {
            return None;
        }
        for bucket in corrupted {
            // A comparison with incorrect sums verified nothing.
            self.verified.remove(&bucket.0);
            self.round.corrupted.insert(bucket);
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

    /// Handles a scrub that could not be completed.
    pub fn not_scrubbed(&mut self, round: u64) {
        if !self.awaits(&Phase::Scrubbing, round) {
            return;
        }
        self.phase = Phase::Idle;
        self.broken.clear();
    }

    /// Handles a completed repair. The inserted rows may be as new as `exact_from`.
    pub fn repaired(&mut self, round: u64, exact_from: Lsn) {
        if !self.awaits(&Phase::Repairing, round) {
            return;
        }
        self.exact_from = self.exact_from.max(exact_from);
        self.end_round();
    }

    /// Handles a repair that failed because the leader did not answer. The next checkpoint will
    /// find the difference again.
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

    /// Returns the last round that ended.
    #[must_use]
    pub fn finished(&self) -> Option<&Round> {
        self.finished.as_ref()
    }

    /// Returns whether buckets are being repaired.
    #[must_use]
    pub fn is_repairing(&self) -> bool {
        self.phase == Phase::Repairing
    }

    /// Returns when each view was last verified.
    #[must_use]
    pub fn verified(&self) -> &BTreeMap<ViewId, Verified> {
        &self.verified
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
    fn equal_rows_are_verified_and_nothing_is_repaired() {
        let mut anti_entropy = AntiEntropy::new(Lsn(5));
        assert_eq!(anti_entropy.checkpoint(&at(4), &[digest(&[9])]), None, "rows may be newer than the position");
        assert_eq!(anti_entropy.checkpoint(&at(5), &[digest(&[])]), Some(scrub(1)));
        assert_eq!(anti_entropy.scrubbed(1, []), None);
        assert_eq!(anti_entropy.verified()[&VIEW], Verified { lsn: Lsn(5), at: Hlc(5) });
        assert!(
            anti_entropy.finished().is_some_and(|round| round.differed.is_empty() && round.compared.contains(&VIEW))
        );
    }

    #[test]
    fn differing_and_corrupted_buckets_are_repaired_together() {
        let mut anti_entropy = AntiEntropy::default();
        assert_eq!(anti_entropy.checkpoint(&at(1), &[digest(&[9])]), Some(scrub(1)));
        assert_eq!(anti_entropy.scrubbed(1, [(VIEW, 3)]), Some(repair(1, &[3, 9])));
        assert!(anti_entropy.is_repairing());
        assert_eq!(anti_entropy.checkpoint(&at(2), &[digest(&[9])]), None, "the bucket is under repair");
        anti_entropy.repaired(1, Lsn(4));
        assert_eq!(anti_entropy.checkpoint(&at(3), &[digest(&[9])]), None, "an inserted row is newer");
        assert_eq!(anti_entropy.checkpoint(&at(4), &[digest(&[])]), Some(scrub(2)));
        assert_eq!(anti_entropy.verified()[&VIEW].lsn, Lsn(4));
    }

    #[test]
    fn sums_that_missed_a_corruption_do_not_verify_the_view() {
        let mut anti_entropy = AntiEntropy::default();
        anti_entropy.checkpoint(&at(1), &[digest(&[])]);
        assert!(anti_entropy.verified().contains_key(&VIEW));
        assert_eq!(anti_entropy.scrubbed(1, [(VIEW, 3)]), Some(repair(1, &[3])));
        assert!(anti_entropy.verified().is_empty());
    }

    #[test]
    fn a_bucket_that_differs_after_two_repairs_needs_a_snapshot() {
        let mut anti_entropy = AntiEntropy::default();
        for lsn in 1..=2 {
            assert_eq!(anti_entropy.checkpoint(&at(lsn), &[digest(&[9])]), Some(scrub(lsn)));
            assert_eq!(anti_entropy.scrubbed(lsn, []), Some(repair(lsn, &[9])));
            anti_entropy.repaired(lsn, Lsn::NONE);
        }
        assert_eq!(anti_entropy.checkpoint(&at(3), &[digest(&[9])]), Some(Step::Snapshot));
        anti_entropy.restart(Lsn(3));
        assert_eq!(
            anti_entropy.checkpoint(&at(4), &[digest(&[9])]),
            Some(scrub(4)),
            "a new replica starts from scratch"
        );
    }

    #[test]
    fn failed_requests_to_the_leader_do_not_count_as_repairs() {
        let mut anti_entropy = AntiEntropy::default();
        for lsn in 1..=9 {
            assert_eq!(anti_entropy.checkpoint(&at(lsn), &[digest(&[9])]), Some(scrub(lsn)));
            assert_eq!(anti_entropy.scrubbed(lsn, []), Some(repair(lsn, &[9])));
            anti_entropy.not_repaired(lsn);
        }
    }

    /// Regression test. The edge replaced its replica while a bucket was fetched for the old one,
    /// and the fetch failed during the scrub of the new one. A difference found by the new round
    /// was forgotten, and the round reported equal rows.
    #[test]
    fn an_outcome_of_a_round_that_has_ended_changes_nothing() {
        let mut anti_entropy = AntiEntropy::default();
        assert_eq!(anti_entropy.checkpoint(&at(1), &[digest(&[9])]), Some(scrub(1)));
        assert_eq!(anti_entropy.scrubbed(1, []), Some(repair(1, &[9])));
        anti_entropy.restart(Lsn(2));
        assert_eq!(anti_entropy.checkpoint(&at(2), &[digest(&[7])]), Some(scrub(2)));
        anti_entropy.not_repaired(1);
        anti_entropy.repaired(1, Lsn(50));
        assert_eq!((anti_entropy.scrubbed(1, [(VIEW, 3)]), anti_entropy.exact_from()), (None, Lsn(2)));
        assert_eq!(anti_entropy.scrubbed(2, []), Some(repair(2, &[7])), "the findings of the new round are repaired");
        anti_entropy.not_scrubbed(2);
        anti_entropy.not_repaired(1);
        anti_entropy.repaired(1, Lsn(50));
        assert!(anti_entropy.is_repairing());
        anti_entropy.repaired(2, Lsn(4));
        assert!(!anti_entropy.is_repairing() && anti_entropy.finished().is_some_and(|round| round.number == 2));
    }

    #[test]
    fn too_many_differences_need_a_snapshot() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(AntiEntropy::default().checkpoint(&at(1), &[digest(&all)]), Some(Step::Snapshot));
    }

    #[test]
    fn a_view_missing_in_the_checkpoint_is_neither_verified_nor_repaired() {
        let mut anti_entropy = AntiEntropy::default();
        let silent = Checkpoint { views: Vec::new(), ..at(1) };
        assert_eq!(anti_entropy.checkpoint(&silent, &[digest(&[9])]), Some(scrub(1)));
        assert_eq!(anti_entropy.scrubbed(1, []), None);
        assert!(anti_entropy.verified().is_empty());
    }
}
