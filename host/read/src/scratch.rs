//! Memory that a thread's reads use repeatedly, and the status of each lookup's rows.

use crate::plan::Plan;
use littoral_model::{
    column::{Column, Status},
    event_time::EventTime,
    read::{ReadAnswer, ReadRequest, age},
    row::Row,
};
use std::{cell::RefCell, time::Duration};

/// The number of rows of a lookup for which memory is kept. More is returned to the system.
pub(crate) const ROWS_KEPT_MAX: usize = 1_024;

/// The number of lookups for which memory is kept.
const LOOKUPS_KEPT_MAX: usize = 16;

/// The memory of one read.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) request: ReadRequest,
    pub(crate) answer: ReadAnswer,
    /// The inputs of a module call.
    pub(crate) inputs: Vec<Column>,
    /// The parameters of a module call.
    pub(crate) params: Vec<Column>,
    blocks: Vec<Block>,
}

/// What all features of a lookup's rows share.
#[derive(Debug, Default)]
pub struct Block {
    /// The status of each row.
    pub statuses: Vec<Status>,
    /// When the event of each row happened. `None` without a row.
    pub event_times: Vec<Option<EventTime>>,
}

/// The number of reads for which a thread keeps memory: those that wait for a module or a leader at the same time.
const KEPT_MAX: usize = 32;

#[allow(clippy::vec_box, reason = "they are boxed because they are large and move with the future of a read")]
type Kept = Vec<Box<Scratch>>;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Vec::new()) };
}

impl Scratch {
    pub(crate) fn take() -> Box<Self> {
        KEPT.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Keeps the memory for the next read of this thread, unless it is unusually large. Releases the rows.
    pub(crate) fn recycle(mut self: Box<Self>) {
        let is_usual = self.answer.rows.len() <= LOOKUPS_KEPT_MAX
            && self.answer.rows.iter().all(|rows| rows.capacity() <= ROWS_KEPT_MAX);
        if is_usual {
            self.answer.rows.iter_mut().for_each(Vec::clear);
            KEPT.with_borrow_mut(|kept| {
                if kept.len() < KEPT_MAX {
                    kept.push(self);
                }
            });
        }
    }

    /// Returns the rows of a lookup.
    #[inline]
    fn rows(&self, lookup: usize) -> &[Option<Row>] {
        self.answer.rows.get(lookup).map_or(&[], Vec::as_slice)
    }

    /// Returns the status of every row of a lookup, and the rows that are present. A feature's value is null in the
    /// others.
    ///
    /// Yields rows and not values, because the compiler would copy each value three times.
    #[inline]
    pub(crate) fn present(&self, lookup: usize) -> impl Iterator<Item = (Status, Option<&Row>)> {
        let rows = self.rows(lookup);
        self.block(lookup).statuses.iter().enumerate().map(move |(row, status)| match rows.get(row) {
            Some(Some(row)) if *status == Status::Present => (*status, Some(row)),
            _ => (*status, None),
        })
    }

    pub(crate) fn block(&self, lookup: usize) -> &Block {
        &self.blocks[lookup]
    }

    /// Evaluates the status of the rows of every lookup.
    pub(crate) fn evaluate(&mut self, plan: &Plan, rows: usize, now: EventTime) {
        self.blocks.truncate(plan.lookups.len().min(LOOKUPS_KEPT_MAX));
        self.blocks.resize_with(plan.lookups.len(), Block::default);
        for (at, lookup) in plan.lookups.iter().enumerate() {
            let mut block = std::mem::take(&mut self.blocks[at]);
            block.statuses.clear();
            block.event_times.clear();
            let ttl = lookup.ttl_ms.map(Duration::from_millis);
            for number in 0..rows {
                let row = self.rows(at).get(number).and_then(Option::as_ref).filter(|row| !row.is_tombstone());
                let event_time = row.map(|row| row.header().event_time);
                block.event_times.push(event_time);
                block.statuses.push(match event_time {
                    None if self.answer.is_unknown(at, number) => Status::Unknown,
                    None => Status::NotFound,
                    Some(time) if ttl.is_some_and(|ttl| age(time, now) > ttl) => Status::OutsideMaxAge,
                    Some(_) => Status::Present,
                });
            }
            self.blocks[at] = block;
        }
    }
}
