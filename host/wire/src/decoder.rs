//! Cuts a stream of bytes, in whatever pieces it arrives, into frames.

use crate::{HEADER_LEN, error::Error};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

/// The first reservation for a frame that arrives in pieces, in bytes; it doubles as the frame proves to be coming, so
/// that a peer that only announces a long frame costs nothing.
const FIRST_RESERVATION: usize = 64 << 10;

/// Cuts a stream into payloads. A frame that lies within one piece is handed on without a copy, one that is spread
/// over pieces is put together once.
#[derive(Debug)]
pub struct Decoder {
    len_max: usize,
    pieces: VecDeque<Bytes>,
    /// The beginning of a frame whose end has not arrived.
    partial: BytesMut,
}

#[derive(Clone, Copy)]
struct Header {
    len: usize,
    checksum: u32,
}

impl Decoder {
    /// A decoder that takes payloads of at most `len_max` bytes.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { len_max, pieces: VecDeque::new(), partial: BytesMut::new() }
    }

    /// Adds the next piece of the stream. Call [`Decoder::next_payload`] until it says `None` before adding another,
    /// or pieces pile up.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// The next frame's payload, checked against its checksum; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Error::TooLong`] and [`Error::Checksum`]. The decoder must not be used after one.
    pub fn next_payload(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(piece) = self.pieces.front_mut() else { return Ok(None) };
            if self.partial.is_empty()
                && let Some(header) = header(piece, self.len_max)?
                && piece.len() - HEADER_LEN >= header.len
            {
                piece.advance(HEADER_LEN);
                let payload = piece.split_to(header.len);
                self.drop_empty_piece();
                return verified(payload, header).map(Some);
            }
            if let Some(payload) = self.gather()? {
                return Ok(Some(payload));
            }
        }
    }

    /// Checks that the stream has not ended within a frame.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::TooLong`].
    pub fn finish(&self) -> Result<(), Error> {
        let have = self.partial.len() + self.pieces.iter().map(Bytes::len).sum::<usize>();
        if have == 0 {
            return Ok(());
        }
        let payload = header(&self.partial, self.len_max)?.map_or(0, |header| header.len);
        Err(Error::Truncated { what: "stream of frames", needed: HEADER_LEN + payload, have })
    }

    /// Moves bytes of the first piece to the frame in the making; its payload when it is complete.
    fn gather(&mut self) -> Result<Option<Bytes>, Error> {
        let known = header(&self.partial, self.len_max)?;
        let frame_len = HEADER_LEN + known.map_or(0, |header| header.len);
        let missing = frame_len - self.partial.len();
        let Some(piece) = self.pieces.front_mut() else { return Ok(None) };
        let taken = piece.split_to(missing.min(piece.len()));
        let filled = self.partial.len() + taken.len();
        if filled > self.partial.capacity() {
            let target = frame_len.min(FIRST_RESERVATION.max(2 * self.partial.capacity())).max(filled);
            self.partial.reserve(target - self.partial.len());
        }
        self.partial.extend_from_slice(&taken);
        self.drop_empty_piece();
        match header(&self.partial, self.len_max)? {
            Some(header) if self.partial.len() == HEADER_LEN + header.len => {
                let mut frame = std::mem::take(&mut self.partial).freeze();
                frame.advance(HEADER_LEN);
                verified(frame, header).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn drop_empty_piece(&mut self) {
        if self.pieces.front().is_some_and(Bytes::is_empty) {
            self.pieces.pop_front();
        }
    }
}

/// The header, when it is there; refused when it announces too much.
fn header(bytes: &[u8], len_max: usize) -> Result<Option<Header>, Error> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let [a, b, c, d, e, f, g, h] = *header;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    if len > len_max {
        return Err(Error::TooLong { len, len_max });
    }
    Ok(Some(Header { len, checksum: u32::from_le_bytes([e, f, g, h]) }))
}

fn verified(payload: Bytes, header: Header) -> Result<Bytes, Error> {
    let found = xxh3_64(&payload) as u32;
    if found == header.checksum {
        Ok(payload)
    } else {
        Err(Error::Checksum { len: header.len, expected: header.checksum, found })
    }
}
