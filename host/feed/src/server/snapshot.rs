//! Encodes a snapshot for one subscriber. Rows are read from the source only as fast as the subscriber accepts them.

use bytes::Bytes;
use littoral_model::row::Row;
use littoral_wire::{records::ViewFilter, rows};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A block of encoded rows.
pub(crate) struct Block {
    pub(crate) rows: u32,
    pub(crate) bytes: Bytes,
}

/// The rows of a snapshot that were not sent yet.
pub(crate) struct Blocks {
    /// `None` while a block is being encoded, and after that has failed.
    rest: Option<Rest>,
    bytes: usize,
    /// Limits how many blocks are encoded at once: when many subscribers join together, the others must still get CPU
    /// time.
    makers: Arc<Semaphore>,
}

struct Rest {
    rows: Box<dyn Iterator<Item = Row> + Send>,
    filter: ViewFilter,
}

impl Blocks {
    /// Prepares the rows of a snapshot to be sent in blocks of about `bytes` bytes each.
    pub(crate) fn new(
        chunks: Box<dyn Iterator<Item = Vec<Row>> + Send>,
        filter: ViewFilter,
        bytes: usize,
        makers: Arc<Semaphore>,
    ) -> Self {
        Self { rest: Some(Rest { rows: Box::new(chunks.flatten()), filter }), bytes, makers }
    }

    /// Returns the next block; `None` after the last one. It is encoded on a blocking thread, because copying a shard
    /// of a large table takes too long for a task. Nothing is encoded ahead, so a subscriber that does not read holds
    /// no block.
    ///
    /// # Errors
    /// When a row cannot be encoded; there are no further blocks then.
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
            // The source has panicked. Report that: at a normal end the subscriber would treat the rows so far as all
            // rows.
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
