//! What waits to be sent on one stream: frames, or what they were compressed to.

use littoral_wire::{Error, Outgoing, Piece, compression::Compressor};
use std::{
    collections::VecDeque,
    iter::from_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The approximate length, in bytes, of the pieces into which compressed batches are gathered.
const PIECE_LEN: usize = 64 << 10;

/// The bytes that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The frames of a stream that is not compressed.
    pub(super) frames: Outgoing,
    compressed: VecDeque<Compressed>,
    compressed_len: usize,
}

/// What compresses a stream.
#[derive(Debug)]
pub(crate) struct Compressing {
    compressor: Compressor,
    _counted: HeldOne,
}

/// How many compressors a server holds. Clones share the number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<AtomicUsize>);

/// A compressor that counts until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldOne(Held);

/// Consecutive bytes of a compressed stream.
#[derive(Debug)]
pub(super) struct Compressed {
    bytes: Vec<u8>,
    /// Their number before compression.
    uncompressed: usize,
}

// === impl Queue ===

impl Queue {
    /// Returns the number of waiting bytes.
    pub(super) fn len(&self) -> usize {
        self.frames.len() + self.compressed_len
    }

    /// Returns the number of waiting bytes in memory that only this stream uses.
    pub(super) fn own_len(&self) -> usize {
        self.frames.own_len() + self.compressed_len
    }

    /// Appends a batch of a compressed stream.
    pub(super) fn append(&mut self, batch: Compressed) {
        self.compressed_len += batch.bytes.len();
        match self.compressed.back_mut() {
            Some(last) if last.bytes.len() + batch.bytes.len() <= PIECE_LEN => {
                last.bytes.extend_from_slice(&batch.bytes);
                last.uncompressed += batch.uncompressed;
            }
            _ => self.compressed.push_back(batch),
        }
    }

    /// Removes the next piece. Also returns its length before compression.
    pub(super) fn pop(&mut self) -> Option<(Piece, usize)> {
        if let Some(Compressed { bytes, uncompressed }) = self.compressed.pop_front() {
            self.compressed_len -= bytes.len();
            return Some((Piece { bytes: bytes.into(), common: false }, uncompressed));
        }
        let piece = self.frames.pop_piece()?;
        let len = piece.bytes.len();
        Some((piece, len))
    }

    /// Discards all waiting bytes.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

// === impl Compressing ===

impl Compressing {
    /// Compresses a stream with a compressor, which was counted.
    pub(crate) fn new(compressor: Compressor, counted: HeldOne) -> Self {
        Self { compressor, _counted: counted }
    }

    /// Encodes and compresses frames.
    pub(super) fn compress(
        &mut self,
        push: impl FnOnce(&mut Outgoing) -> Result<(), Error>,
    ) -> Result<Compressed, Error> {
        let mut frames = Outgoing::default();
        push(&mut frames)?;
        let uncompressed = frames.len();
        let bytes = self.compressor.compress(from_fn(|| frames.pop()))?;
        Ok(Compressed { bytes, uncompressed })
    }
}

// === impl Held ===

impl Held {
    /// Counts one more, unless there are `max` already.
    pub(crate) fn one_more(&self, max: usize) -> Option<HeldOne> {
        self.0.fetch_update(Relaxed, Relaxed, |held| (held < max).then_some(held + 1)).ok()?;
        metrics::gauge!("littoral_feed_subscribers_compressed").increment(1.0);
        Some(HeldOne(self.clone()))
    }
}

impl Drop for HeldOne {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
        metrics::gauge!("littoral_feed_subscribers_compressed").decrement(1.0);
    }
}
