//! The answer of a read.

use crate::{
    error::Error,
    plan::{Output, Plan, Prepared},
    scratch::{Block, Scratch},
};
use littoral_model::{
    column::Status,
    event_time::EventTime,
    freshness::Freshness,
    module_outputs::{ModuleOutputs, OutputRows},
    read::ReadError,
    row::Row,
};
use std::sync::Arc;

/// The answer of a read. It refers to the rows as they are stored.
pub struct Answer<X = ()> {
    pub(crate) prepared: Arc<Prepared<X>>,
    pub(crate) rows: usize,
    pub(crate) now: EventTime,
    pub(crate) scratch: Box<Scratch>,
    /// Per call of the plan, the outputs of the module.
    pub(crate) made: Vec<ModuleOutputs>,
}

impl<X> Answer<X> {
    /// Returns the plan, and what the door derived from it.
    #[must_use]
    pub fn prepared(&self) -> &Prepared<X> {
        &self.prepared
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the time as of which TTLs were evaluated.
    #[must_use]
    pub fn now(&self) -> EventTime {
        self.now
    }

    /// Returns how fresh the answer is.
    #[must_use]
    pub fn freshness(&self) -> &Freshness {
        &self.scratch.answer.freshness
    }

    /// Returns the statuses and event times of a lookup's rows.
    #[must_use]
    pub fn block(&self, lookup: usize) -> &Block {
        self.scratch.block(lookup)
    }

    /// Returns the status of every row of a lookup, and the rows that are present. A feature's value is null in the
    /// others.
    #[inline]
    pub fn present(&self, lookup: usize) -> impl Iterator<Item = (Status, Option<&Row>)> {
        self.scratch.present(lookup)
    }

    /// Returns an output of a module.
    #[must_use]
    pub fn made(&self, call: usize, output: usize) -> Option<OutputRows<'_>> {
        self.made.get(call).and_then(|made| made.output(output))
    }

    /// Rejects an answer with unknown values, for protocols without a status for them. A row that only a module reads
    /// does not count, because the module receives its status and decides what follows from it.
    ///
    /// # Errors
    /// [`ReadError::RowsUnknown`].
    pub fn reject_unknown(&self) -> Result<(), Error> {
        let Plan { lookups, outputs, calls, .. } = &self.prepared.plan;
        let view_name = |lookup: usize| {
            let view = lookups.get(lookup).and_then(|lookup| self.prepared.catalogue.view_by_id(lookup.view));
            view.map_or_else(String::new, |view| view.name.clone())
        };
        for output in outputs {
            match *output {
                Output::Feature(feature) => {
                    if let Some(error) = self.scratch.answer.unknown_error(feature.lookup, view_name) {
                        return Err(error.into());
                    }
                }
                Output::Made { call, output } => {
                    if self.made(call, output).is_some_and(|rows| rows.statuses.contains(&Status::Unknown)) {
                        let module = calls.get(call).map_or("", |call| &*call.name);
                        return Err(ReadError::RowsUnknown(format!("rows that module '{module}' needs")).into());
                    }
                }
                Output::Key(_) | Output::UnneededKey(_) => {}
            }
        }
        Ok(())
    }

    /// Keeps the answer's memory for the next read of this thread.
    pub fn recycle(self) {
        self.scratch.recycle();
    }
}
