//! Frames waiting to be written to a socket.

use crate::{HEADER_LEN, encode, error::Error};
use bytes::Bytes;
use serde::Serialize;
use std::collections::VecDeque;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The minimum length, in bytes, at which a frame's tail is shared instead of copied.
const SHARED_LEN_MIN: usize = 16 << 10;
/// The approximate length, in bytes, of the pieces into which small frames are gathered.
const PIECE_LEN: usize = 64 << 10;

/// Encoded frames in order. Small frames are adjacent, so that many leave in one write. The bytes
/// of large frames are shared, not copied.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: VecDeque<Piece>,
    small: Vec<u8>,
    len: usize,
    common_len: usize,
}

/// Consecutive bytes of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether other streams send the same bytes from the same memory, so that another stream
    /// costs none.
    pub common: bool,
}

impl Outgoing {
    /// Returns the number of waiting bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of waiting bytes in memory that only this stream uses.
    #[must_use]
    pub fn own_len(&self) -> usize {
        self.len - self.common_len
    }

    /// Returns whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes and returns the next bytes to send; `None` if nothing waits.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.pop_piece().map(|piece| piece.bytes)
    }

    /// Like [`Self::pop`], but also states whether the memory is shared.
    pub fn pop_piece(&mut self) -> Option<Piece> {
        let piece = match self.pieces.pop_front() {
            Some(piece) => piece,
            None if self.small.is_empty() => return None,
            None => Piece { bytes: Bytes::from(std::mem::take(&mut self.small)), common: false },
        };
        self.len -= piece.bytes.len();
        if piece.common {
            self.common_len -= piece.bytes.len();
        }
        Some(piece)
    }

    /// Discards all waiting bytes.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Reserves memory for a frame of about this number of bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.small.reserve(bytes.min(u32::MAX as usize));
    }

    /// Appends a frame whose payload is the message's postcard bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the payload exceeds `len_max`; nothing is appended.
    pub(crate) fn push(&mut self, what: &'static str, message: &impl Serialize, len_max: usize) -> Result<(), Error> {
        self.push_with_tail(what, message, None, len_max)
    }

    /// Appends a frame whose payload is `head`, then the length of `tail`, then `tail`. These are
    /// the postcard bytes of a struct that ends with bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the payload exceeds `len_max`; nothing is appended.
    pub(crate) fn push_with_tail(
        &mut self,
        what: &'static str,
        head: &impl Serialize,
        tail: Option<&Bytes>,
        len_max: usize,
    ) -> Result<(), Error> {
        let start = self.small.len();
        self.small.extend_from_slice(&[0; HEADER_LEN]);
        let appended = self.append_payload(what, head, tail, start, len_max);
        if appended.is_err() {
            self.small.truncate(start);
        }
        let shared = appended?;
        self.len += self.small.len() - start;
        if let Some(shared) = shared {
            self.flush();
            self.len += shared.len();
            self.pieces.push_back(Piece { bytes: shared, common: false });
        } else if self.small.len() >= PIECE_LEN {
            self.flush();
        }
        Ok(())
    }

    /// Appends a frame whose payload is `head`, then the encoded `common`, then `after`. The
    /// memory of `common` is shared with other streams.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the payload exceeds `len_max`; nothing is appended.
    pub(crate) fn push_around(
        &mut self,
        what: &'static str,
        (head, common, after): (&impl Serialize, &Bytes, Option<u64>),
        len_max: usize,
    ) -> Result<(), Error> {
        let (mut front, mut back) = (vec![0; HEADER_LEN], Vec::new());
        encode::append(&mut front, what, head)?;
        if let Some(after) = after {
            encode::append(&mut back, what, &after)?;
        }
        let len = front.len() - HEADER_LEN + common.len() + back.len();
        if len > len_max || len > u32::MAX as usize {
            return Err(Error::TooLong { len, len_max });
        }
        let mut hash = Xxh3::new();
        for part in [&front[HEADER_LEN..], common, &back] {
            hash.update(part);
        }
        front[..4].copy_from_slice(&(len as u32).to_le_bytes());
        front[4..HEADER_LEN].copy_from_slice(&(hash.digest() as u32).to_le_bytes());
        self.small.extend_from_slice(&front);
        if common.len() >= SHARED_LEN_MIN {
            self.flush();
            self.common_len += common.len();
            self.pieces.push_back(Piece { bytes: common.clone(), common: true });
        } else {
            self.small.extend_from_slice(common);
        }
        self.small.extend_from_slice(&back);
        self.len += HEADER_LEN + len;
        Ok(())
    }

    /// Appends the payload and fills the header. Returns the tail if it is shared.
    fn append_payload(
        &mut self,
        what: &'static str,
        head: &impl Serialize,
        tail: Option<&Bytes>,
        start: usize,
        len_max: usize,
    ) -> Result<Option<Bytes>, Error> {
        encode::append(&mut self.small, what, head)?;
        let mut shared = None;
        if let Some(tail) = tail {
            encode::append(&mut self.small, what, &tail.len())?;
            if tail.len() >= SHARED_LEN_MIN {
                shared = Some(tail.clone());
            } else {
                self.small.extend_from_slice(tail);
            }
        }
        let payload = &self.small[start + HEADER_LEN..];
        let len = payload.len() + shared.as_ref().map_or(0, Bytes::len);
        if len > len_max || len > u32::MAX as usize {
            return Err(Error::TooLong { len, len_max });
        }
        let checksum = match &shared {
            None => xxh3_64(payload),
            Some(tail) => {
                let mut hash = Xxh3::new();
                hash.update(payload);
                hash.update(tail);
                hash.digest()
            }
        };
        self.small[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
        self.small[start + 4..start + HEADER_LEN].copy_from_slice(&(checksum as u32).to_le_bytes());
        Ok(shared)
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.small));
            self.pieces.push_back(Piece { bytes, common: false });
        }
    }
}
