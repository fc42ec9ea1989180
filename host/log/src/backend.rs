//! What every log backend gives, and the batch that is appended to it. The contract stands at the top of the crate.

use crate::{
    detached::Detached,
    error::{AppendError, CutError, ReadError},
    frame,
};
use littoral_model::{
    hlc::Hlc,
    ports::RecordBlock,
    position::{Epoch, Incarnation, Lsn},
    record::{ChainHash, Record},
    region::Region,
};
use littoral_protocol::members::History;

/// Whose log it is and which life of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The region whose records these are.
    pub region: Region,
    /// Drawn when the log was made.
    pub incarnation: Incarnation,
}

/// Where a log begins and ends.
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
    fn history(&self) -> History;

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

/// Records to be appended together, encoded as they come.
#[derive(Debug)]
pub struct Batch {
    /// A frame: room for its header, then records.
    pub(crate) bytes: Vec<u8>,
    pub(crate) first: Lsn,
    pub(crate) next: Lsn,
    pub(crate) chain_before: ChainHash,
    pub(crate) chain: ChainHash,
    pub(crate) epoch: Epoch,
    pub(crate) hlc: Hlc,
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
    /// An empty batch that follows the tail of `bounds`, with room for about `bytes` bytes.
    #[must_use]
    pub fn after(bounds: &Bounds, epoch: Epoch, bytes: usize) -> Self {
        Self::within(Vec::new(), bounds, epoch, bytes)
    }

    /// The same within a buffer that is used again.
    #[must_use]
    pub fn within(mut buffer: Vec<u8>, bounds: &Bounds, epoch: Epoch, bytes: usize) -> Self {
        buffer.clear();
        buffer.reserve(frame::HEADER_LEN + bytes);
        buffer.resize(frame::HEADER_LEN, 0);
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

    /// The number that the next record gets.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// The epoch of its records.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next.0 - self.first.0
    }

    /// Bytes of its records.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.bytes.len() - frame::HEADER_LEN
    }

    /// Where the log will end when the batch is durable. Where it begins by then is not known here: no batch asks for it.
    #[must_use]
    pub fn end(&self) -> Bounds {
        let tail = Lsn(self.next.0 - 1);
        Bounds { oldest: self.first, tail, chain: self.chain, epoch: self.epoch, hlc: self.hlc }
    }

    /// Appends a record, which must bear [`Batch::next_lsn`] and [`Batch::epoch`]; its chain hash is filled in.
    ///
    /// # Errors
    /// [`AppendError::NotNext`], [`AppendError::Size`]; the batch is as before.
    pub fn push(&mut self, mut record: Record<'_>) -> Result<(), AppendError> {
        if record.lsn != self.next || record.epoch != self.epoch {
            return Err(AppendError::NotNext { have: record.lsn, want: self.next });
        }
        record.chain = record.chain_after(self.chain);
        let size = AppendError::Size { records: self.len() + 1, bytes: self.bytes_len() };
        littoral_wire::records::push(&mut self.bytes, &record).map_err(|_| size)?;
        self.chain = record.chain;
        self.hlc = self.hlc.max(record.hlc);
        self.next = self.next.next();
        Ok(())
    }

    /// Where the batch would be cut back to by [`Batch::rewind`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { len: self.bytes.len(), next: self.next, chain: self.chain, hlc: self.hlc }
    }

    /// The records pushed since `mark`, encoded.
    #[must_use]
    pub fn since(&self, mark: Mark) -> &[u8] {
        self.bytes.get(mark.len..).unwrap_or_default()
    }

    /// Takes back the records pushed since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.len);
        self.next = mark.next;
        self.chain = mark.chain;
        self.hlc = mark.hlc;
    }
}
