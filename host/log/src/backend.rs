//! The interface of a log. Its contract stands at the top of the crate.

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

/// A region's log. Appending is for one caller at a time; reading is for any.
pub trait Log: Send + Sync + std::fmt::Debug + 'static {
    /// Whose log it is.
    fn identity(&self) -> Identity;

    /// Whether it was made when it was opened: nobody has seen it before.
    fn is_new(&self) -> bool;

    /// Where it begins and ends now.
    fn bounds(&self) -> Bounds;

    /// Makes a batch durable, with one fsync, and gives it back as readers get it.
    ///
    /// # Errors
    /// [`AppendError`]. The log is then as before, and may be appended to again.
    fn append(&self, batch: Batch) -> Result<RecordBlock, AppendError>;

    /// Makes records durable that another member's log has, byte for byte as they came: each must follow from the one before
    /// it, from this log's newest on. One fsync for each epoch in the block.
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::Broken`] for what is not of this log's history. Nothing of the block was appended then,
    /// unless the disk failed: epochs before that stay, as [`Log::bounds`] says.
    fn append_block(&self, block: &RecordBlock) -> Result<(), AppendError>;

    /// Gives up all records after `after`: they are kept aside, durably ([`crate::detached`]), and the log ends with `after`
    /// then. A crash in the midst leaves the log as it was or cut. `None` when it ends there already.
    ///
    /// Readers that are in the midst of what is cut off may still get it. Snapshots of what is given up are removed.
    ///
    /// # Errors
    /// [`CutError`].
    fn cut(&self, after: Lsn) -> Result<Option<Detached>, CutError>;

    /// Which epoch begins at which record.
    fn history(&self) -> EpochHistory;

    /// The newest epoch that was promised here, or that a record of this log is of: whoever comes with an older one is
    /// refused. It never gets smaller.
    fn promised(&self) -> Epoch;

    /// Promises `epoch`, durably. Nothing changes when it is older than what was promised before.
    ///
    /// # Errors
    /// Of the disk. [`Log::promised`] is then as before, though the disk may have it.
    fn promise(&self, epoch: Epoch) -> std::io::Result<()>;

    /// The newest record that is known to be durable at a majority of the region's members. Never past the tail.
    fn committed(&self) -> Lsn;

    /// Takes notice of what is committed; what is not in this log yet is passed over. It is written down by [`Log::mark`]:
    /// after a crash less may be known, which is always safe.
    fn note_committed(&self, lsn: Lsn);

    /// Records from `from` on: at least one, about `bytes_max` bytes; none when `from` is past the tail.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read(&self, from: Lsn, bytes_max: usize) -> Result<RecordBlock, ReadError>;

    /// As [`Log::read`], when that needs no disk; `None` when it may. Never blocks.
    fn read_cached(&self, from: Lsn, bytes_max: usize) -> Option<RecordBlock>;

    /// The chain hash at `lsn`; `None` when it was trimmed further than that or is past the tail. That of the record
    /// before the oldest is still known.
    ///
    /// # Errors
    /// [`ReadError`].
    fn chain_at(&self, lsn: Lsn) -> Result<Option<ChainHash>, ReadError>;

    /// Lets go of old records within the bounds of `retention`. Returns the oldest that is left.
    ///
    /// # Errors
    /// [`ReadError::Io`]; some may be gone.
    fn trim(&self, retention: Retention) -> Result<Lsn, ReadError>;

    /// Does ahead of time what the next appends would have to wait for. Worth calling after every few batches, from
    /// another thread than the one that appends.
    fn prepare(&self);

    /// Looks whether the log's files are still there, and says which are not. Nothing is appended while one is missing, as what
    /// is written into it is lost with the process.
    fn missing_files(&self) -> Option<String> {
        None
    }

    /// Notes down how far the log is durable and committed, when that has moved: the next start then notices when less is
    /// there.
    ///
    /// # Errors
    /// Of the disk; the log itself is as before.
    fn mark(&self) -> std::io::Result<()>;

    /// Bytes that the log's records take.
    fn bytes(&self) -> u64;

    /// A buffer for [`Batch::within`] that an earlier batch has left, or an empty one.
    fn spare_buffer(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// What may be trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Nothing after this record: what a durable snapshot stands for.
    pub through: Lsn,
    /// Only while the log is larger than this, in bytes, or
    pub bytes_max: u64,
    /// what is older than this reading.
    pub before: Hlc,
}
