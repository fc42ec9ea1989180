//! A snapshot on its way to one subscriber: rows are taken from the source as the subscriber takes them.

use bytes::Bytes;
use littoral_model::row::Row;
use littoral_wire::{records::ViewFilter, rows};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Rows, encoded.
pub(crate) struct Block {
    pub(crate) rows: u32,
    pub(crate) bytes: Bytes,
}

/// A snapshot's rows that are yet to be sent.
pub(crate) struct Blocks {
    /// `None` while a block is made, and when that has failed.
    rest: Option<Rest>,
    bytes: usize,
    /// Blocks are made for so many subscribers at once: many that join together must not take every core from those that
    /// follow.
    makers: Arc<Semaphore>,
}

struct Rest {
    rows: Box<dyn Iterator<Item = Row> + Send>,
    filter: ViewFilter,
}

impl Blocks {
    /// Blocks of about so many bytes.
    pub(crate) fn new(
        chunks: Box<dyn Iterator<Item = Vec<Row>> + Send>,
        filter: ViewFilter,
        bytes: usize,
        makers: Arc<Semaphore>,
    ) -> Self {
        Self { rest: Some(Rest { rows: Box::new(chunks.flatten()), filter }), bytes, makers }
    }

    /// The next block; `None` behind the last one. It is encoded on a thread for blocking work, as copying a shard of a large
    /// table takes long for a task. Nothing is made ahead, so that a subscriber that does not read holds no block.
    ///
    /// # Errors
    /// When a row cannot be encoded; there is no further block then.
    pub(crate) async fn next(&mut self) -> Option<Result<Block, String>> {
        let mut rest = self.rest.take()?;
        // The semaphore is never closed.
        let making = self.makers.clone().acquire_owned().await.ok()?;
        let bytes = self.bytes;
        let made = tokio::task::spawn_blocking(move || {
            let _making = making;
            let block = rest.block(bytes);
            (rest, block)
        });
        let (rest, block) = match made.await {
            Ok(made) => made,
            // The source has panicked. Were this the end, the subscriber would take a part of the rows for all of them.
            Err(error) => return Some(Err(error.to_string())),
        };
        self.rest = Some(rest);
        block.map_err(|error| error.to_string()).transpose()
    }
}

impl Rest {
    fn block(&mut self, bytes: usize) -> Result<Option<Block>, littoral_wire::Error> {
        let mut block = Vec::with_capacity(bytes + bytes / 8);
        let mut count = 0;
        for row in self.rows.by_ref().filter(|row| self.filter.wants_row(row)) {
            rows::push(&mut block, Some(&row))?;
            count += 1;
            if block.len() >= bytes {
                break;
            }
        }
        Ok((count > 0).then(|| Block { rows: count, bytes: block.into() }))
    }
}
