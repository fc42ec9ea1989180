//! The JSON that all features of a lookup's rows share: written once, and copied into the column of each feature.

use super::Dialect;
use crate::json::push_int;
use littoral_model::{column::Status, event_time::EventTime, read::age};
use littoral_read::Answer;
use std::cell::{Cell, RefCell};

/// The number of rows for which memory is kept. More is returned to the system.
const ROWS_KEPT_MAX: usize = 1_024;

/// The number of lookups for which memory is kept.
const LOOKUPS_KEPT_MAX: usize = 16;

/// Lists of one value per row, joined by commas.
#[derive(Default)]
pub(super) struct Block {
    /// The statuses.
    pub(super) statuses: Vec<u8>,
    /// When the event of each row happened.
    pub(super) timestamps: Vec<u8>,
    /// How long ago that was, in milliseconds. Native only.
    pub(super) ages: Vec<u8>,
    /// The number of rows with each status.
    rows: [u64; Self::STATUSES],
    /// The number of values that are null in a present row.
    nulls: Cell<u64>,
    newest: Option<EventTime>,
}

thread_local! {
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Calls `write` with the blocks of an answer's lookups, in memory that the thread keeps.
pub(super) fn with<X, T>(answer: &Answer<X>, lookups: usize, dialect: Dialect, write: impl FnOnce(&[Block]) -> T) -> T {
    BLOCKS.with_borrow_mut(|blocks| {
        blocks.truncate(lookups.min(LOOKUPS_KEPT_MAX));
        blocks.resize_with(lookups, Block::default);
        for (at, block) in blocks.iter_mut().enumerate() {
            block.clear();
            let rows = answer.block(at);
            for (status, event_time) in rows.statuses.iter().zip(&rows.event_times) {
                block.push(*event_time, *status, answer.now(), dialect);
            }
        }
        let written = write(blocks);
        if answer.rows() > ROWS_KEPT_MAX {
            blocks.clear();
        }
        written
    })
}

impl Block {
    /// The number of statuses.
    pub(super) const STATUSES: usize = 5;

    /// Counts nulls of a column.
    pub(super) fn add_nulls(&self, nulls: u64) {
        self.nulls.set(self.nulls.get() + nulls);
    }

    /// Returns the number of values with each status, in the order of [`Status`], if the answer has this number of the
    /// lookup's columns.
    pub(super) fn counts(&self, columns: u64) -> [u64; Self::STATUSES] {
        let nulls = self.nulls.get();
        let mut counts = self.rows.map(|rows| rows * columns);
        counts[Status::Present as usize] = counts[Status::Present as usize].saturating_sub(nulls);
        counts[Status::NullValue as usize] += nulls;
        counts
    }

    /// Returns the newest event time.
    pub(super) fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    fn clear(&mut self) {
        self.statuses.clear();
        self.timestamps.clear();
        self.ages.clear();
        (self.rows, self.newest) = ([0; Self::STATUSES], None);
        self.nulls.set(0);
    }

    fn push(&mut self, event_time: Option<EventTime>, status: Status, now: EventTime, dialect: Dialect) {
        if !self.statuses.is_empty() {
            self.statuses.push(b',');
            self.timestamps.push(b',');
            self.ages.push(b',');
        }
        push_status(&mut self.statuses, status);
        self.rows[status as usize] += 1;
        self.newest = self.newest.max(event_time);
        match event_time {
            None if dialect == Dialect::Native => self.timestamps.extend_from_slice(b"null"),
            time => push_time(&mut self.timestamps, time.unwrap_or(EventTime::EPOCH)),
        }
        if dialect == Dialect::Native {
            match event_time {
                None => self.ages.extend_from_slice(b"null"),
                Some(time) => {
                    let ms = age(time, now).as_millis();
                    push_int(&mut self.ages, i64::try_from(ms).unwrap_or(i64::MAX));
                }
            }
        }
    }
}

/// Appends a status as a JSON string.
#[inline]
pub(super) fn push_status(out: &mut Vec<u8>, status: Status) {
    out.push(b'"');
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b'"');
}

fn push_time(out: &mut Vec<u8>, time: EventTime) {
    out.push(b'"');
    time.write_rfc3339(out);
    out.push(b'"');
}
