//! The check of a block of records, before any of it is applied.

use super::{Block, Violation};
use littoral_model::{
    position::{Epoch, Lsn},
    record::{ChainHash, Record},
};

/// Goes through a block's records once, in order. Only a block whose check has finished may be applied.
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
    /// The check of this block.
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

    /// The next record.
    ///
    /// # Errors
    /// [`Violation::Gap`], [`Violation::Chain`], [`Violation::StaleEpoch`].
    pub fn record(&mut self, record: &Record<'_>) -> Result<(), Violation> {
        let lsn = record.lsn;
        if lsn < self.next || lsn > self.last || (self.dense && lsn != self.next) {
            return Err(Violation::Gap { expected: self.next, first: lsn, last: self.last });
        }
        if record.epoch < self.epoch {
            return Err(Violation::StaleEpoch { theirs: record.epoch, known: self.epoch });
        }
        // With records left out, their hashes cannot be followed; the publisher's hash at the end is all there is.
        if self.dense && record.chain_after(self.chain) != record.chain {
            return Err(Violation::Chain { lsn });
        }
        self.epoch = record.epoch;
        self.chain = record.chain;
        self.next = lsn.next();
        Ok(())
    }

    /// The block has ended. Returns the newest epoch in it.
    ///
    /// # Errors
    /// [`Violation::Gap`] when records are missing at its end; [`Violation::Chain`] when its hash is not the announced one.
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
