//! The check of a block of records before any of it is applied.

use super::{Block, Violation};
use littoral_model::{
    position::{Epoch, Lsn},
    record::{ChainHash, Record},
};

/// Checks a block's records one by one, in order. Only a block whose check has finished may be
/// applied.
#[derive(Clone, Debug)]
pub struct BlockCheck {
    next: Lsn,
    last: Lsn,
    chain: ChainHash,
    chain_after: ChainHash,
    dense: bool,
    epoch: Epoch,
}

impl BlockCheck {
    /// Starts the check of a block.
    #[must_use]
    pub fn new(block: &Block) -> Self {
        Self {
            next: block.first,
            last: block.last,
            chain: block.chain_before,
            chain_after: block.chain_after,
            dense: block.dense,
            epoch: block.epoch_min,
        }
    }

    /// Checks the next record.
    pub fn record(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        let lsn = record.lsn;
        if lsn < self.next || lsn > self.last || (self.dense && lsn != self.next) {
            return Err(Violation::Gap { expected: self.next, first: lsn, last: self.last });
        }
        if record.epoch < self.epoch {
            return Err(Violation::StaleEpoch { theirs: record.epoch, known: self.epoch });
        }
        // If records are left out, their hashes cannot be followed. Only the publisher's hash at
        // the end of the block remains.
        if self.dense && record.chain_after(self.chain) != record.chain {
            return Err(Violation::Chain { lsn });
        }
        self.epoch = record.epoch;
        self.chain = record.chain;
        self.next = lsn.next();
        Ok(())
    }

    /// Finishes the check at the end of the block. Returns the newest epoch in it.
    ///
    /// # Errors
    /// [`Violation::Gap`] if records are missing at its end; [`Violation::Chain`] if its hash is not the
    /// announced one.
    pub fn finish(self) -> Result<Epoch, Violation> {
        if self.dense && self.next != self.last.next() {
            return Err(Violation::Gap { expected: self.next, first: self.next, last: self.last });
        }
        if self.next == self.last.next() && self.chain != self.chain_after {
            return Err(Violation::Chain { lsn: self.last });
        }
        Ok(self.epoch)
    }
}
