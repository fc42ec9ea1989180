//! Frames on their way to a socket.

use crate::{HEADER_LEN, encode, error::Error};
use bytes::Bytes;
use serde::Serialize;
use std::collections::VecDeque;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A tail at least this long, in bytes, is shared with the frame instead of copied into it.
const SHARED_LEN_MIN: usize = 16 << 10;
/// Small frames are put together into pieces of about this length, in bytes.
const PIECE_LEN: usize = 64 << 10;

/// Encoded frames in order: small ones lie back to back, so that many of them leave in one write; the bytes of large
/// ones are shared, not copied.
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
    /// Whether other streams send the same bytes from the same memory, so that one stream more costs none.
    pub common: bool,
}

impl Outgoing {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that wait and whose memory is this stream's own.
    #[must_use]
    pub fn own_len(&self) -> usize {
        self.len - self.common_len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next bytes to send; `None` when nothing waits.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.pop_piece().map(|piece| piece.bytes)
    }

    /// As [`Self::pop`], with whose memory it is.
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

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes room for a frame of about so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.small.reserve(bytes.min(u32::MAX as usize));
    }

    /// Appends a frame whose payload is the message's postcard bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the payload is longer than `len_max`; nothing was appended.
    pub(crate) fn push(&mut self, what: &'static str, message: &impl Serialize, len_max: usize) -> Result<(), Error> {
        self.push_with_tail(what, message, None, len_max)
    }

    /// Appends a frame whose payload is `head` and, behind its length, `tail`: the postcard bytes of a struct that
    /// ends with bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the payload is longer than `len_max`; nothing was appended.
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

    /// Appends a frame whose payload is `head`, then `common`, which is encoded already, then `after`. Other streams send
    /// `common` too: it is shared with them.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the payload is longer than `len_max`; nothing was appended.
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

    /// Fills the payload and the header; gives back the tail when it is to be shared.
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
