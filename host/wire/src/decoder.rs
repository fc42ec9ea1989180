//! Splits a stream of bytes, which arrives in pieces of any length, into frames.

use crate::{HEADER_LEN, error::Error};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

/// The first reservation for a frame that arrives in pieces, in bytes. It doubles as the frame
/// arrives, so a peer that only announces a long frame costs nothing.
const FIRST_RESERVATION: usize = 64 << 10;

/// Splits a stream into payloads. A frame that lies within one piece is returned without a copy;
/// one that spans pieces is assembled once.
#[derive(Debug)]
pub struct Decoder {
    len_max: usize,
    pieces: VecDeque<Bytes>,
    /// The start of a frame whose end has not arrived.
    partial: BytesMut,
}

#[derive(Clone, Copy)]
struct Header {
    len: usize,
    checksum: u32,
}

impl Decoder {
    /// Creates a decoder that accepts payloads of at most `len_max` bytes.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { len_max, pieces: VecDeque::new(), partial: BytesMut::new() }
    }

    /// Adds the next piece of the stream. The caller then calls [`Decoder::next_payload`] until it
    /// returns `None`, so that pieces do not accumulate.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Returns the next frame's payload after checking its checksum; `None` if more bytes are
    /// needed.
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

    /// Checks that the stream did not end within a frame.
    pub fn finish(&self) -> Result<(), Error> {
        let have = self.partial.len() + self.pieces.iter().map(Bytes::len).sum::<usize>();
        if have == 0 {
            return Ok(());
        }
        let payload = header(&self.partial, self.len_max)?.map_or(0, |header| header.len);
        Err(Error::Truncated { what: "stream of frames", needed: HEADER_LEN + payload, have })
    }

    /// Moves bytes of the first piece to the partial frame. Returns its payload when it is
    /// complete.
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

/// Parses the header, if it has arrived; rejects a header that announces too long a payload.
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
