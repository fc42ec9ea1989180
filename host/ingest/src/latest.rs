//! Decides which rows are sent: only the last row of each entity key, or all rows except those that a row with the same
//! entity key and event timestamp outranks.
//!
//! The last row of a key is the one with the greatest event timestamp. Ties are broken by the latest time of creation,
//! then by the later place in the files.

use crate::{Error, files::Input, reader::Batches};
use hashbrown::HashMap;
use littoral_model::event_time::EventTime;
use xxhash_rust::xxh3::xxh3_128;

/// Which rows of an entity key are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Only its last row.
    Last,
    /// All rows, except that of the rows with the newest event timestamp only the one created last is sent. The order
    /// of older rows does not matter, because the newest event outranks them.
    TheLaterMade,
}

/// For each file, one bit per row, which is set if the row is not sent.
#[derive(Debug)]
pub(crate) struct Latest(Vec<Vec<u64>>);

/// The order of rows: event time, time of creation, file, row.
type RowRank = (EventTime, Option<EventTime>, u32, u64);

impl Latest {
    /// Reads the key and times of all rows. Calls `scanned` with the number of rows read.
    pub(crate) fn find(
        inputs: &[Input],
        batch_rows: usize,
        kept: Kept,
        mut scanned: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let all = if kept == Kept::Last { u64::MAX } else { 0 };
        let words = |input: &Input| usize::try_from(input.rows.div_ceil(64)).unwrap_or(0);
        let mut left_out = Self(inputs.iter().map(|input| vec![all; words(input)]).collect());
        // Keys by their 128-bit hash: among a billion keys, the probability of a collision is below 1 in 10^20.
        let mut last: HashMap<u128, RowRank> = HashMap::new();
        for (file, input) in inputs.iter().enumerate() {
            for batch in Batches::keys(input, batch_rows)? {
                let (first, checked) = batch?;
                checked.for_each_key(|row, key| {
                    let rank = (checked.event_time(row), checked.created(row), file as u32, first + row as u64);
                    let held = last.entry(xxh3_128(key)).or_insert(rank);
                    let outranked = rank.min(*held);
                    if kept == Kept::TheLaterMade && rank != *held && rank.0 == held.0 {
                        left_out.set(outranked, true);
                    }
                    *held = rank.max(*held);
                });
                scanned(checked.rows() as u64);
            }
        }
        if kept == Kept::Last {
            last.into_values().for_each(|row| left_out.set(row, false));
        }
        Ok(left_out)
    }

    fn set(&mut self, (_, _, file, row): RowRank, left_out: bool) {
        if let Some(word) = self.0.get_mut(file as usize).and_then(|words| words.get_mut((row / 64) as usize)) {
            let bit = 1 << (row % 64);
            *word = if left_out { *word | bit } else { *word & !bit };
        }
    }

    /// Returns whether a row is sent.
    pub(crate) fn is_sent(&self, file: usize, row: u64) -> bool {
        let word = self.0.get(file).and_then(|words| words.get((row / 64) as usize));
        word.is_some_and(|word| word & (1 << (row % 64)) == 0)
    }
}
