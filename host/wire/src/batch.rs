//! Records on their way into a log, encoded as they are pushed.

use crate::records;
use littoral_model::{
    format::ProtocolVersion,
    hlc::Hlc,
    position::{Epoch, Lsn},
    record::{ChainHash, Record},
};

/// The room that a batch leaves before its records for the log's own header, in bytes.
pub const HEADER_LEN: usize = 96;

/// The first and the last record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest record that can be read; one past `tail` in an empty log.
    pub oldest: Lsn,
    /// The durable tail: the newest record; [`Lsn::NONE`] before the first.
    pub tail: Lsn,
    /// The chain hash at `tail`.
    pub chain: ChainHash,
    /// The newest epoch in the log, or the one that it was begun with.
    pub epoch: Epoch,
    /// The clock reading of the newest record; zero in an empty log.
    pub hlc: Hlc,
}

/// Why a record was not pushed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The record does not follow the batch: a bug in the caller.
    #[error("record {have} was pushed where record {want} of the batch's epoch is next")]
    NotNext {
        /// The record's LSN.
        have: Lsn,
        /// The next LSN.
        want: Lsn,
    },
    /// Nodes of the version at which this node is held cannot read the record.
    #[error(
        "the record needs protocol version {needs}, but this node is held at version {version}; remove protocol_version from its \
             configuration once every node runs this release"
    )]
    Version {
        /// The first version with such records.
        needs: ProtocolVersion,
        /// The version at which the node is held.
        version: ProtocolVersion,
    },
    /// The record is too large to be encoded.
    #[error("a batch of {records} records and {bytes} bytes cannot be appended")]
    Size {
        /// Records in the batch, the rejected one included.
        records: u64,
        /// Bytes in the batch before it.
        bytes: usize,
    },
}

/// Records that are appended to a log together, encoded as they are pushed.
#[derive(Debug)]
pub struct Batch {
    /// Room for the log's header, then the records.
    pub bytes: Vec<u8>,
    /// The LSN of its first record.
    pub first: Lsn,
    /// The LSN that the next record gets.
    pub next: Lsn,
    /// The chain hash before its first record.
    pub chain_before: ChainHash,
    /// The chain hash of its last record.
    pub chain: ChainHash,
    /// The epoch of its records.
    pub epoch: Epoch,
    /// The newest clock reading up to its last record.
    pub hlc: Hlc,
}

/// A point within a batch.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    len: usize,
    next: Lsn,
    chain: ChainHash,
    hlc: Hlc,
}

impl Batch {
    /// Creates an empty batch that follows the tail of `bounds`, with room for about `bytes` bytes.
    #[must_use]
    pub fn after(bounds: &Bounds, epoch: Epoch, bytes: usize) -> Self {
        Self::within(Vec::new(), bounds, epoch, bytes)
    }

    /// Like [`Batch::after`], but reuses a buffer.
    #[must_use]
    pub fn within(mut buffer: Vec<u8>, bounds: &Bounds, epoch: Epoch, bytes: usize) -> Self {
        buffer.clear();
        buffer.reserve(HEADER_LEN + bytes);
        buffer.resize(HEADER_LEN, 0);
        Self {
            bytes: buffer,
            first: bounds.tail.next(),
            next: bounds.tail.next(),
            chain_before: bounds.chain,
            chain: bounds.chain,
            epoch,
            hlc: bounds.hlc,
        }
    }

    /// Returns the LSN that the next record gets.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Returns the epoch of its records.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Returns the number of its records.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next.0 - self.first.0
    }

    /// Returns the length of its records in bytes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.bytes.len() - HEADER_LEN
    }

    /// Appends a record, which must carry [`Batch::next_lsn`] and [`Batch::epoch`], and fills in its chain hash.
    ///
    /// # Errors
    /// [`PushError::NotNext`], [`PushError::Size`]; the batch is as before.
    pub fn push(&mut self, mut record: Record<'_>) -> Result<(), PushError> {
        if record.lsn != self.next || record.epoch != self.epoch {
            return Err(PushError::NotNext { have: record.lsn, want: self.next });
        }
        record.chain = record.chain_after(self.chain);
        let size = PushError::Size { records: self.len() + 1, bytes: self.bytes_len() };
        records::push(&mut self.bytes, &record).map_err(|_| size)?;
        self.chain = record.chain;
        self.hlc = self.hlc.max(record.hlc);
        self.next = self.next.next();
        Ok(())
    }

    /// Returns the point to which [`Batch::rewind`] can return.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { len: self.bytes.len(), next: self.next, chain: self.chain, hlc: self.hlc }
    }

    /// Returns the records that were pushed since `mark`, encoded.
    #[must_use]
    pub fn since(&self, mark: Mark) -> &[u8] {
        self.bytes.get(mark.len..).unwrap_or_default()
    }

    /// Removes the records that were pushed since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.len);
        self.next = mark.next;
        self.chain = mark.chain;
        self.hlc = mark.hlc;
    }
}
