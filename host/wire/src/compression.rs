//! Compression of a stream of frames with zstd.
//!
//! One zstd frame spans the whole stream, so the frames before are the context of the next one: a
//! batch of the tail is short, and repeats the views, keys and values of the batches before it. The
//! compressor flushes after every batch, so the receiver can decode everything that was sent.

use crate::error::{Error, malformed};
use bytes::{Buf as _, Bytes};
use std::fmt;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, SafeResult, get_error_name,
    zstd_sys::ZSTD_EndDirective::{ZSTD_e_continue, ZSTD_e_flush},
};

/// The name of this compression in HTTP's headers.
pub const CODING: &str = "zstd";

/// The most memory of a [`Compressor`], in bytes. A test verifies it.
pub const COMPRESSOR_BYTES: usize = 320 << 10;

/// The level. Higher ones compress real rows no better, for twice the CPU time.
const LEVEL: i32 = 1;
/// How far back a compressed stream may refer: 32 KiB. It determines the memory at both ends. Four times as much
/// compresses real rows by two percent better.
const WINDOW_LOG: u32 = 15;
/// The largest window that a receiver accepts, 1 MiB, so that later releases may choose a larger one.
const WINDOW_LOG_MAX: u32 = 20;
/// The longest piece that a [`Decompressor`] returns, in bytes: a block of zstd.
const PIECE_LEN_MAX: usize = 128 << 10;
/// The least free space with which the compressor is called, in bytes.
const ROOM_MIN: usize = 256;

const COMPRESSED: &str = "compressed stream";

/// Compresses a stream.
pub struct Compressor(CCtx<'static>);

/// Decompresses a stream, in pieces of bounded length, however much a few bytes expand to.
pub struct Decompressor {
    context: DCtx<'static>,
    /// What has arrived and was not decompressed.
    input: Bytes,
    /// Whether the last piece was as long as a piece may be, so that the context may hold more.
    holds_more: bool,
    piece: Vec<u8>,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("input", &self.input.len()).finish_non_exhaustive()
    }
}

// === impl Compressor ===

impl Compressor {
    /// Creates a compressor for one stream.
    ///
    /// # Errors
    /// [`Error::Malformed`] if zstd cannot allocate its context.
    pub fn new() -> Result<Self, Error> {
        let mut context = CCtx::try_create().ok_or_else(no_memory)?;
        checked(context.set_parameter(CParameter::CompressionLevel(LEVEL)))?;
        checked(context.set_parameter(CParameter::WindowLog(WINDOW_LOG)))?;
        Ok(Self(context))
    }

    /// Compresses the next pieces of the stream. With the result, the receiver can decode all of them.
    ///
    /// # Errors
    /// [`Error::Malformed`] if zstd fails. The stream cannot continue.
    pub fn compress(&mut self, pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        for piece in pieces {
            let mut input = InBuffer::around(&piece);
            out.reserve(piece.len() / 4);
            while input.pos() < piece.len() {
                out.reserve(ROOM_MIN);
                let end = out.len();
                let mut output = OutBuffer::around_pos(&mut out, end);
                checked(self.0.compress_stream2(&mut output, &mut input, ZSTD_e_continue))?;
            }
        }
        loop {
            out.reserve(ROOM_MIN);
            let end = out.len();
            let mut output = OutBuffer::around_pos(&mut out, end);
            if checked(self.0.compress_stream2(&mut output, &mut InBuffer::around(&[]), ZSTD_e_flush))? == 0 {
                out.shrink_to_fit();
                return Ok(out);
            }
        }
    }
}

// === impl Decompressor ===

impl Decompressor {
    /// Creates a decompressor for one stream.
    ///
    /// # Errors
    /// [`Error::Malformed`] if zstd cannot allocate its context.
    pub fn new() -> Result<Self, Error> {
        let mut context = DCtx::try_create().ok_or_else(no_memory)?;
        checked(context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)))?;
        let piece = Vec::with_capacity(PIECE_LEN_MAX);
        Ok(Self { context, input: Bytes::new(), holds_more: false, piece })
    }

    /// Adds bytes that have arrived. The caller then calls [`Self::next_piece`] until it returns `None`.
    pub fn push(&mut self, arrived: Bytes) {
        if self.input.is_empty() {
            self.input = arrived;
        } else {
            self.input = [&*self.input, &arrived].concat().into();
        }
    }

    /// Returns the next decompressed bytes, at most 128 KiB; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are not zstd's, or need too large a window.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.input.is_empty() || self.holds_more {
            self.piece.clear();
            let mut input = InBuffer::around(&self.input);
            let mut output = OutBuffer::around(&mut self.piece);
            checked(self.context.decompress_stream(&mut output, &mut input))?;
            let (read, written) = (input.pos(), output.pos());
            self.holds_more = written == output.capacity();
            if read == 0 && written == 0 && !self.input.is_empty() {
                return Err(malformed(COMPRESSED, "zstd makes no progress"));
            }
            self.input.advance(read);
            if self.input.is_empty() {
                // An empty slice would keep the memory of the bytes that arrived.
                self.input = Bytes::new();
            }
            if written > 0 {
                return Ok(Some(Bytes::copy_from_slice(&self.piece)));
            }
        }
        Ok(None)
    }
}

fn checked(result: SafeResult) -> Result<usize, Error> {
    result.map_err(|code| malformed(COMPRESSED, get_error_name(code)))
}

fn no_memory() -> Error {
    malformed(COMPRESSED, "zstd has no memory for its context")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u64) -> Bytes {
        let rows = (0..20).map(|row| format!("{{view: routes, key: {}, delay: {}}}", number * 7 + row, row * number));
        rows.collect::<String>().into()
    }

    /// A batch of one row, which hardly compresses alone.
    fn row(number: u64) -> Bytes {
        format!("{{view: routes, key: {number}, carrier: ua, delay: {}}}", number * 7).into()
    }

    fn decompressed(decompressor: &mut Decompressor, arrived: Bytes) -> Result<Vec<u8>, Error> {
        decompressor.push(arrived);
        let mut all = Vec::new();
        while let Some(piece) = decompressor.next_piece()? {
            assert!(piece.len() <= PIECE_LEN_MAX);
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[test]
    fn each_batch_can_be_read_at_once_and_later_ones_are_shorter() {
        let (mut compressor, mut decompressor) = (Compressor::new().unwrap(), Decompressor::new().unwrap());
        let (mut in_one_stream, mut alone) = (0, 0);
        for number in 0..50 {
            let sent = row(number);
            let compressed = Bytes::from(compressor.compress([sent.slice(..10), sent.slice(10..)]).unwrap());
            in_one_stream += compressed.len();
            alone += Compressor::new().unwrap().compress([sent.clone()]).unwrap().len();
            // In two parts, as a network may deliver them.
            let (first, second) = (compressed.slice(..compressed.len() / 2), compressed.slice(compressed.len() / 2..));
            let mut received = decompressed(&mut decompressor, first).unwrap();
            received.extend(decompressed(&mut decompressor, second).unwrap());
            assert_eq!(received, sent, "batch {number}");
        }
        assert!(in_one_stream * 2 < alone, "batches before are the context of the next: {in_one_stream}, {alone}");
    }

    #[test]
    fn long_and_incompressible_pieces_arrive_whole() {
        let (mut compressor, mut decompressor) = (Compressor::new().unwrap(), Decompressor::new().unwrap());
        let mut random = 1_u64;
        let noise = |_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        };
        let noise: Bytes = (0..1_000_000).map(noise).collect::<Vec<_>>().into();
        let compressed = compressor.compress([noise.clone(), Bytes::new(), batch(3)]).unwrap();
        assert!(compressed.len() < noise.len() + 2_000, "{}", compressed.len());
        assert_eq!(decompressed(&mut decompressor, compressed.into()).unwrap(), [noise, batch(3)].concat());
        assert!(compressor.compress([]).unwrap().is_empty());
    }

    #[test]
    fn the_memory_of_both_ends_is_bounded() {
        let (mut compressor, mut decompressor) = (Compressor::new().unwrap(), Decompressor::new().unwrap());
        for number in 0..2_000 {
            let long = (number..number + 40).map(batch).collect::<Vec<_>>().concat();
            decompressed(&mut decompressor, compressor.compress([long.into()]).unwrap().into()).unwrap();
        }
        assert!(compressor.0.sizeof() <= COMPRESSOR_BYTES, "{}", compressor.0.sizeof());
        assert!(decompressor.context.sizeof() <= 256 << 10, "{}", decompressor.context.sizeof());
    }

    #[test]
    fn a_small_stream_that_expands_to_much_is_returned_in_pieces() {
        let (mut compressor, mut decompressor) = (Compressor::new().unwrap(), Decompressor::new().unwrap());
        let compressed = compressor.compress([Bytes::from(vec![0; 64 << 20])]).unwrap();
        assert!(compressed.len() < 20_000, "{}", compressed.len());
        decompressor.push(compressed.into());
        let first = decompressor.next_piece().unwrap().unwrap();
        assert!(first.len() <= PIECE_LEN_MAX && decompressor.piece.capacity() == PIECE_LEN_MAX);
    }

    #[test]
    fn garbage_and_too_large_windows_are_rejected() {
        let garbage = decompressed(&mut Decompressor::new().unwrap(), Bytes::from_static(b"GET / HTTP/1.1"));
        assert_eq!(garbage.unwrap_err().to_string(), "malformed compressed stream: Unknown frame descriptor");
        let mut wide = CCtx::create();
        wide.set_parameter(CParameter::WindowLog(WINDOW_LOG_MAX + 1)).unwrap();
        let compressed = Compressor(wide).compress([Bytes::from(vec![7; 100])]).unwrap();
        let error = decompressed(&mut Decompressor::new().unwrap(), compressed.into()).unwrap_err().to_string();
        assert_eq!(error, "malformed compressed stream: Frame requires too much memory for decoding");
    }
}
