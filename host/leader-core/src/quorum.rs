//! Reads from a majority of the regions: whose answers count, when they suffice, and how they are merged row by row.
//!
//! For each row the version that outranks the others by the view's merge policy is chosen; it may be a tombstone.
//! Merging is commutative, associative and idempotent, so neither the order nor the repetition of answers matters. Any
//! two majorities share a region, so everything that a majority had on disk when it was acknowledged is in every later
//! quorum's answer.

use littoral_model::{
    merge::MergePolicy,
    read::{ReadAnswer, ReadError},
    region::Region,
    row::Row,
    token::Watermark,
};
use littoral_protocol::members::majority;
use std::collections::{BTreeMap, BTreeSet};
/// Returns the one of two versions of a row that outranks the other; a version outranks a missing one.
#[must_use]
pub fn newest(policy: MergePolicy, a: Option<Row>, b: Option<Row>) -> Option<Row> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if policy.replaces(b.rank(), a.rank()) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// One region's answer: rows and tombstones per read and key.
#[derive(Clone, Debug)]
pub struct RegionAnswer {
    /// The region that answered.
    pub region: Region,
    /// Its rows.
    pub rows: Vec<Vec<Option<Row>>>,
    /// The positions up to which it has every region's records.
    pub watermark: Watermark,
}

/// Collects the regions' answers.
#[derive(Clone, Debug)]
pub struct QuorumCollector {
    regions: BTreeSet<Region>,
    policies: Vec<MergePolicy>,
    answered: BTreeSet<Region>,
    failed: BTreeMap<Region, String>,
    rows: Vec<Vec<Option<Row>>>,
    watermark: Watermark,
}

impl QuorumCollector {
    /// Starts with this region's own answer. `policies` has one element per read; a region that is not in `regions`
    /// never counts.
    #[must_use]
    pub fn new(regions: impl IntoIterator<Item = Region>, policies: Vec<MergePolicy>, own: RegionAnswer) -> Self {
        let RegionAnswer { region, rows, watermark } = own;
        let regions = regions.into_iter().chain([region]).collect();
        let answered = BTreeSet::from([region]);
        Self { regions, policies, answered, failed: BTreeMap::new(), rows, watermark }
    }

    /// Returns how many regions must answer.
    #[must_use]
    pub fn needed(&self) -> usize {
        majority(self.regions.len())
    }

    /// Adds a region's answer. It counts once, and not at all if it does not match the requested keys.
    pub fn take(&mut self, part: RegionAnswer) {
        if !self.regions.contains(&part.region) {
            return;
        }
        let shape = |rows: &[Vec<Option<Row>>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
        if shape(&part.rows) != shape(&self.rows) {
            return self.failed(part.region, "its answer does not match the requested keys".to_owned());
        }
        for (index, (ours, theirs)) in self.rows.iter_mut().zip(part.rows).enumerate() {
            let policy = self.policies.get(index).copied().unwrap_or_default();
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours = newest(policy, ours.take(), theirs);
            }
        }
        for (region, incarnation, lsn) in part.watermark.iter() {
            // Of two lives of one log keep the one that this region has: which one is later cannot be determined here.
            if self.watermark.get(region).is_none_or(|(known, _)| known == incarnation) {
                self.watermark.raise(region, incarnation, lsn);
            }
        }
        self.failed.remove(&part.region);
        self.answered.insert(part.region);
    }

    /// Notes why a region does not answer.
    pub fn failed(&mut self, region: Region, reason: String) {
        if self.regions.contains(&region) && !self.answered.contains(&region) {
            self.failed.insert(region, reason);
        }
    }

    /// Returns whether enough regions have answered.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.answered.len() >= self.needed()
    }

    /// Returns whether so many regions have failed that a majority is impossible.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.regions.len() - self.failed.len() < self.needed()
    }

    /// Returns the rows without tombstones, the regions that answered, and the positions that the rows include. The
    /// caller completes the answer's freshness.
    ///
    /// # Errors
    /// [`ReadError::QuorumNotReached`]; a region without an answer or a failure did not answer in time.
    pub fn finish(self) -> Result<ReadAnswer, ReadError> {
        if !self.is_reached() {
            let silent = "it did not answer in time";
            let missing: Vec<_> = (self.regions.difference(&self.answered))
                .map(|region| format!("'{region}': {}", self.failed.get(region).map_or(silent, String::as_str)))
                .collect();
            return Err(ReadError::QuorumNotReached {
                needed: self.needed() as u32,
                of: self.regions.len() as u32,
                answered: self.answered.into_iter().collect(),
                missing: missing.join(", "),
            });
        }
        let mut answer = ReadAnswer { rows: self.rows, ..ReadAnswer::default() };
        for row in answer.rows.iter_mut().flatten() {
            if row.as_ref().is_some_and(Row::is_tombstone) {
                *row = None;
            }
        }
        answer.freshness.watermark = self.watermark;
        answer.freshness.regions = self.answered.into_iter().collect();
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        event_time::EventTime,
        hlc::Hlc,
        merge::Rank,
        position::{Incarnation, Lsn},
        row::RowMeta,
        version::Version,
        view::ViewId,
    };
    use proptest::prelude::*;

    fn name(index: usize) -> Region {
        ["a", "b", "c", "d", "e"][index].parse().unwrap()
    }

    /// Creates the write with this number: its version includes the region that accepted it, and some writes are
    /// deletions.
    fn write(number: u64) -> Row {
        let version = Version { hlc: Hlc(number / 2), region: name((number % 2) as usize) };
        let event_time = EventTime((number.wrapping_mul(7) % 11) as i64);
        let meta = RowMeta { view: ViewId(1), event_time, version, lsn: Lsn(number) };
        Row::new(meta, b"key", (!number.is_multiple_of(5)).then_some(&b"body"[..]))
    }

    fn part(region: usize, held: Option<u64>) -> RegionAnswer {
        let watermark = Watermark::at(name(region), Incarnation(1), Lsn(held.unwrap_or(0)));
        RegionAnswer { region: name(region), rows: vec![vec![held.map(write)]], watermark }
    }

    fn gather(policy: MergePolicy, regions: usize, own: RegionAnswer, parts: &[RegionAnswer]) -> QuorumCollector {
        let mut collector = QuorumCollector::new((0..regions).map(name), vec![policy], own);
        for part in parts {
            collector.take(part.clone());
        }
        collector
    }

    fn rank(row: Option<&Row>) -> Option<Rank> {
        row.map(Row::rank)
    }

    proptest! {
        /// Random rows per region, and a random order and repetition of answers.
        #[test]
        fn neither_order_nor_repetition_changes_the_answer(
            held in prop::collection::vec(prop::option::of(0u64..20), 1..=5),
            order in prop::collection::vec(0usize..5, 0..12),
        ) {
            for policy in MergePolicy::ALL {
                let regions = held.len();
                let order: Vec<usize> = order.iter().map(|index| index % regions).collect();
                let parts: Vec<RegionAnswer> = order.iter().map(|index| part(*index, held[*index])).collect();
                let mut sorted = order.clone();
                sorted.push(0);
                sorted.sort_unstable();
                sorted.dedup();
                let once: Vec<RegionAnswer> = sorted.iter().map(|index| part(*index, held[*index])).collect();
                let a = gather(policy, regions, part(0, held[0]), &parts);
                let b = gather(policy, regions, part(0, held[0]), &once);
                prop_assert_eq!(&a.answered, &b.answered);
                prop_assert_eq!(&a.watermark, &b.watermark);
                prop_assert_eq!(rank(a.rows[0][0].as_ref()), rank(b.rows[0][0].as_ref()));
                prop_assert_eq!(a.is_reached(), sorted.len() >= majority(regions));
                prop_assert_eq!(a.finish().is_ok(), sorted.len() >= majority(regions));
            }
        }

        /// A write that a majority holds, or something that outranks it, is in every other majority's answer; and each
        /// answered row is held by one of the regions.
        #[test]
        fn every_majority_sees_what_a_majority_has(
            held in prop::collection::vec(prop::option::of(0u64..20), 1..=5),
            written in 0u64..20,
            (writers, readers) in (0usize..32, 0usize..32),
        ) {
            for policy in MergePolicy::ALL {
                let regions = held.len();
                // A majority of the regions, from a random start.
                let chosen = |from: usize| (0..majority(regions)).map(move |step| (from + step) % regions);
                let mut held: Vec<Option<Row>> = held.iter().map(|held| held.map(write)).collect();
                for region in chosen(writers) {
                    held[region] = newest(policy, held[region].take(), Some(write(written)));
                }
                let part = |region: usize| RegionAnswer { rows: vec![vec![held[region].clone()]], ..part(region, None) };
                let mut readers = chosen(readers);
                let own = part(readers.next().unwrap());
                let collector = gather(policy, regions, own, &readers.map(part).collect::<Vec<_>>());
                prop_assert!(collector.is_reached());
                let seen = collector.rows[0][0].clone();
                let seen_rank = rank(seen.as_ref()).unwrap();
                prop_assert!(!policy.replaces(write(written).rank(), seen_rank));
                prop_assert!(held.iter().any(|row| rank(row.as_ref()) == Some(seen_rank)));
                let answered = collector.finish().unwrap();
                prop_assert_eq!(answered.rows[0][0].is_none(), seen.unwrap().is_tombstone());
            }
        }
    }

    #[test]
    fn an_unreachable_quorum_is_detected_early_and_the_error_names_the_missing_regions() {
        let mut collector = gather(MergePolicy::LatestEvent, 3, part(0, Some(1)), &[]);
        collector.failed(name(1), "connection refused".to_owned());
        assert!(!collector.is_lost() && !collector.is_reached());
        let error = collector.clone().finish().unwrap_err().to_string();
        let silent = "only 'a' answered; 'b': connection refused, 'c': it did not answer in time";
        assert!(error.starts_with("this read needs 2 of 3 regions") && error.contains(silent), "{error}");
        collector.failed(name(2), "parted".to_owned());
        assert!(collector.is_lost());
        collector.take(part(2, Some(3)));
        assert!(collector.is_reached() && !collector.is_lost(), "its answer arrived after all");
        assert_eq!(collector.finish().unwrap().freshness.regions, [name(0), name(2)]);
    }

    #[test]
    fn answers_of_other_regions_and_for_other_keys_do_not_count() {
        let stranger = RegionAnswer { region: "x".parse().unwrap(), ..part(0, Some(19)) };
        let misfit = RegionAnswer { rows: vec![vec![Some(write(19)), None]], ..part(1, None) };
        let collector = gather(MergePolicy::LatestWrite, 2, part(0, Some(1)), &[stranger, misfit]);
        assert!(collector.is_lost());
        assert_eq!(rank(collector.rows[0][0].as_ref()), Some(write(1).rank()));
        assert!(collector.finish().unwrap_err().to_string().contains("does not match the requested keys"));
    }

    #[test]
    fn one_region_is_a_majority_of_itself() {
        assert_eq!([1, 2, 3, 4, 5].map(majority), [1, 2, 2, 3, 3]);
        assert!(gather(MergePolicy::LatestEvent, 1, part(0, None), &[]).is_reached());
    }
}
