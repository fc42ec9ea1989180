//! The interface of a log. Its contract is in the documentation of the crate.

use crate::{
    detached::Detached,
    error::{AppendError, CutError, ReadError},
};
use littoral_model::{
    hlc::Hlc,
    ports::RecordBlock,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_protocol::members::EpochHistory;

pub use littoral_model::identity::Identity;
pub use littoral_wire::batch::{Batch, Bounds};

/// A region's log. One caller at a time may append; any number may read.
pub trait Log: Send + Sync + std::fmt::Debug + 'static {
    /// Returns the region and the name of the log.
    fn identity(&self) -> Identity;

    /// Returns whether opening the log created it. No node has seen such a log before.
    fn is_new(&self) -> bool;

    /// Returns where the log begins and ends now.
    fn bounds(&self) -> Bounds;

    /// Makes a batch durable with one fsync, and returns its records in the form in which readers receive them.
    ///
    /// # Errors
    /// [`AppendError`]. The log is then unchanged, and may be appended to again.
    fn append(&self, batch: Batch) -> Result<RecordBlock, AppendError>;

    /// Makes records of another member's log durable, byte for byte as received. Each must follow the one before it,
    /// beginning with this log's newest. Costs one fsync for each epoch in the block.
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::Broken`] if the records do not continue this log's history. Nothing of the block
    /// was appended then, unless the disk failed: epochs that were written before the failure stay, as [`Log::bounds`]
    /// shows.
    fn append_block(&self, block: &RecordBlock) -> Result<(), AppendError>;

    /// Removes all records after `after`. They are first written durably to a detached tail ([`crate::detached`]). A
    /// crash in between leaves the log either unchanged or cut. Returns `None` if the log ends there already.
    ///
    /// A reader that is reading the removed records may still receive them. Snapshots that include removed records are
    /// deleted.
    ///
    /// # Errors
    /// [`CutError`].
    fn cut(&self, after: Lsn) -> Result<Option<Detached>, CutError>;

    /// Returns which epoch begins at which record.
    fn history(&self) -> EpochHistory;

    /// Returns the newest epoch that was promised here or that a record of this log has. Messages of an older epoch are
    /// rejected. It never decreases.
    fn promised(&self) -> Epoch;

    /// Promises `epoch` durably. Does nothing if a newer epoch was promised before.
    ///
    /// # Errors
    /// A disk error. [`Log::promised`] is then unchanged, though the disk may hold the new promise.
    fn promise(&self, epoch: Epoch) -> std::io::Result<()>;

    /// Returns the newest record that is known to be committed: durable at a majority of the region's members. Never
    /// past the tail.
    fn committed(&self) -> Lsn;

    /// Notes what is committed, at most up to the tail. [`Log::mark`] makes the note durable. After a crash the log may
    /// know of fewer committed records, which is always safe.
    fn note_committed(&self, lsn: Lsn);

    /// Reads records from `from` on: at least one, about `bytes_max` bytes; none if `from` is past the tail.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read(&self, from: Lsn, bytes_max: usize) -> Result<RecordBlock, ReadError>;

    /// Like [`Log::read`], but returns `None` if the disk may be needed. Never blocks.
    fn read_cached(&self, from: Lsn, bytes_max: usize) -> Option<RecordBlock>;

    /// Returns the chain hash at `lsn`; `None` if `lsn` is past the tail or was trimmed. The hash of the record before
    /// the oldest is still stored.
    ///
    /// # Errors
    /// [`ReadError`].
    fn chain_at(&self, lsn: Lsn) -> Result<Option<ChainHash>, ReadError>;

    /// Trims old records, within the bounds of `retention`. Returns the oldest remaining record.
    ///
    /// # Errors
    /// [`ReadError::Io`]; some records may already be trimmed.
    fn trim(&self, retention: Retention) -> Result<Lsn, ReadError>;

    /// Does work ahead of time that the next appends would otherwise wait for. Call it after every few batches, from
    /// another thread than the one that appends.
    fn prepare(&self);

    /// Checks whether the log's files still exist, and returns the names of those that do not. Nothing is appended
    /// while a file is missing, because what is written to a deleted file is lost with the process.
    fn missing_files(&self) -> Option<String> {
        None
    }

    /// Records durably how far the log is durable and committed, if that has changed. The next start then detects lost
    /// records.
    ///
    /// # Errors
    /// A disk error; the log itself is unchanged.
    fn mark(&self) -> std::io::Result<()>;

    /// Returns the size of the log's records, in bytes.
    fn bytes(&self) -> u64;

    /// Returns a buffer of an earlier batch for [`Batch::within`], or an empty one.
    fn spare_buffer(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Which records may be trimmed: those up to `through`, if the log is larger than `bytes_max` or they are older than
/// `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The last record that may be trimmed. A durable snapshot must include everything up to it.
    pub through: Lsn,
    /// The size of the log, in bytes, above which records are trimmed whatever their age.
    pub bytes_max: u64,
    /// Records older than this clock reading are trimmed whatever the size.
    pub before: Hlc,
}
