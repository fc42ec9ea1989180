//! Memory that a thread's reads use again and again, and what is known of each lookup's rows.

use super::Dialect;
use crate::plan::Plan;
use littoral_model::{
    column::{Column, Status},
    event_time::EventTime,
    read::{ReadAnswer, ReadRequest, age},
    row::Row,
};
use std::{cell::RefCell, time::Duration};

/// Rows of a lookup for which memory is kept; more is given back to the system.
pub(super) const ROWS_KEPT_MAX: usize = 1_024;

/// Lookups for which memory is kept.
const LOOKUPS_KEPT_MAX: usize = 16;

/// A read in the making.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) request: ReadRequest,
    pub(super) answer: ReadAnswer,
    /// Inputs and parameters of a module's call.
    pub(super) columns: (Vec<Column>, Vec<Column>),
    blocks: Vec<Block>,
}

/// What all features of a lookup's rows share: written once, copied into each feature's column.
#[derive(Default)]
pub(super) struct Block {
    /// Per row.
    pub(super) states: Vec<Status>,
    /// The states as JSON strings, joined by commas.
    pub(super) statuses: Vec<u8>,
    /// When each row's event happened, as JSON, joined by commas.
    pub(super) timestamps: Vec<u8>,
    /// How long ago that was in milliseconds, as JSON, joined by commas. Native only.
    pub(super) ages: Vec<u8>,
}

/// Reads for which a thread keeps memory: those that wait for a module or a leader at the same time.
const KEPT_MAX: usize = 32;

#[allow(clippy::vec_box, reason = "they are boxed as they are large and travel with a read's future")]
type Kept = Vec<Box<Scratch>>;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Vec::new()) };
}

impl Scratch {
    pub(super) fn take() -> Box<Self> {
        KEPT.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Keeps the memory for the next read of this thread, unless it is unusually much. Rows are let go.
    pub(super) fn give_back(mut self: Box<Self>) {
        let usual = self.answer.rows.len() <= LOOKUPS_KEPT_MAX
            && self.answer.rows.iter().all(|rows| rows.capacity() <= ROWS_KEPT_MAX);
        if usual {
            self.answer.rows.iter_mut().for_each(Vec::clear);
            KEPT.with_borrow_mut(|kept| {
                if kept.len() < KEPT_MAX {
                    kept.push(self);
                }
            });
        }
    }

    /// Row `row` of a lookup, if there is one.
    #[inline]
    pub(super) fn row(&self, lookup: usize, row: usize) -> Option<&Row> {
        self.answer.rows.get(lookup)?.get(row)?.as_ref()
    }

    pub(super) fn block(&self, lookup: usize) -> &Block {
        &self.blocks[lookup]
    }

    /// Works out states, timestamps and ages of every lookup's rows.
    pub(super) fn describe(&mut self, plan: &Plan, rows: usize, now: EventTime, dialect: Dialect) {
        self.blocks.truncate(plan.lookups.len().min(LOOKUPS_KEPT_MAX));
        self.blocks.resize_with(plan.lookups.len(), Block::default);
        for (at, lookup) in plan.lookups.iter().enumerate() {
            let mut block = std::mem::take(&mut self.blocks[at]);
            block.clear();
            for number in 0..rows {
                let row = self.row(at, number).filter(|row| !row.is_tombstone());
                let event_time = row.map(|row| row.header().event_time);
                let state = match event_time {
                    None if self.answer.is_unknown(at, number) => Status::Unknown,
                    None => Status::NotFound,
                    Some(time) if lookup.ttl_ms.is_some_and(|ttl| age(time, now) > Duration::from_millis(ttl)) => {
                        Status::OutsideMaxAge
                    }
                    Some(_) => Status::Present,
                };
                block.push(event_time, state, now, dialect);
            }
            self.blocks[at] = block;
        }
    }
}

impl Block {
    fn clear(&mut self) {
        self.states.clear();
        self.statuses.clear();
        self.timestamps.clear();
        self.ages.clear();
    }

    fn push(&mut self, event_time: Option<EventTime>, state: Status, now: EventTime, dialect: Dialect) {
        if !self.states.is_empty() {
            self.statuses.push(b',');
            self.timestamps.push(b',');
            self.ages.push(b',');
        }
        self.states.push(state);
        push_status(&mut self.statuses, state);
        match event_time {
            None if dialect == Dialect::Native => self.timestamps.extend_from_slice(b"null"),
            time => push_time(&mut self.timestamps, time.unwrap_or(EventTime::EPOCH)),
        }
        if dialect == Dialect::Native {
            match event_time {
                None => self.ages.extend_from_slice(b"null"),
                Some(time) => {
                    let ms = age(time, now).as_millis();
                    crate::json::push_int(&mut self.ages, i64::try_from(ms).unwrap_or(i64::MAX));
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
