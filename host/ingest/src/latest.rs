//! Which row of each entity key is its last: the one with the greatest event timestamp, of equal ones the later.

use crate::{Error, files::Input, reader::Batches};
use hashbrown::HashMap;
use littoral_model::event_time::EventTime;
use xxhash_rust::xxh3::xxh3_128;

/// Per file, a bit for each row: whether it is the last of its key.
#[derive(Debug)]
pub(crate) struct Latest(Vec<Vec<u64>>);

impl Latest {
    /// Looks at every row's key and timestamp. `scanned` hears how many rows were looked at.
    pub(crate) fn find(inputs: &[Input], batch_rows: usize, mut scanned: impl FnMut(u64)) -> Result<Self, Error> {
        // Keys by their 128-bit hash: two of them alike among a billion has odds of 1 in 10^20.
        let mut last: HashMap<u128, (EventTime, u32, u64)> = HashMap::new();
        for (file, input) in inputs.iter().enumerate() {
            for batch in Batches::keys(input, batch_rows)? {
                let (first, checked) = batch?;
                checked.for_each_key(|row, key| {
                    let candidate = (checked.event_time(row), file as u32, first + row as u64);
                    let held = last.entry(xxh3_128(key)).or_insert(candidate);
                    *held = (*held).max(candidate);
                });
                scanned(checked.rows() as u64);
            }
        }
        let mut bits: Vec<Vec<u64>> =
            inputs.iter().map(|input| vec![0; usize::try_from(input.rows.div_ceil(64)).unwrap_or(0)]).collect();
        for (_, file, row) in last.into_values() {
            if let Some(word) = bits.get_mut(file as usize).and_then(|words| words.get_mut((row / 64) as usize)) {
                *word |= 1 << (row % 64);
            }
        }
        Ok(Self(bits))
    }

    /// Whether this row is the last of its key.
    pub(crate) fn is_last(&self, file: usize, row: u64) -> bool {
        let word = self.0.get(file).and_then(|words| words.get((row / 64) as usize));
        word.is_some_and(|word| word & (1 << (row % 64)) != 0)
    }
}
