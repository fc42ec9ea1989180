//! The format of a batch in a segment.
//!
//! ```text
//! magic u32 | records u32 | len u32 | 0 u32 | salt u64 | first u64 | epoch u64 | hlc u64
//! | chain before u128 | chain after u128 | payload xxh3 u64 | header xxh3 u64 | payload, padded to 8 bytes
//! ```
//! All numbers are little-endian. Only the segment's header contains the salt, so no row's content can look like a
//! frame.

use littoral_model::{
    hlc::Hlc,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: u32 = u32::from_le_bytes(*b"LTB1");

/// Bytes before a frame's records.
pub(crate) const HEADER_LEN: usize = littoral_wire::batch::HEADER_LEN;

/// Frames begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) records: u32,
    pub(crate) len: u32,
    pub(crate) salt: u64,
    pub(crate) first: Lsn,
    pub(crate) epoch: Epoch,
    pub(crate) hlc: Hlc,
    pub(crate) chain_before: ChainHash,
    pub(crate) chain_after: ChainHash,
    payload_sum: u64,
}

impl Header {
    /// Creates the header of a frame and computes `payload_sum`.
    #[allow(clippy::too_many_arguments, reason = "private to the crate; each is one field of the format")]
    pub(crate) fn of(
        payload: &[u8],
        records: u32,
        salt: u64,
        first: Lsn,
        epoch: Epoch,
        hlc: Hlc,
        chain_before: ChainHash,
        chain_after: ChainHash,
    ) -> Self {
        let (len, payload_sum) = (payload.len() as u32, xxh3_64(payload));
        Self { records, len, salt, first, epoch, hlc, chain_before, chain_after, payload_sum }
    }

    pub(crate) fn last(&self) -> Lsn {
        Lsn(self.first.0 + u64::from(self.records) - 1)
    }

    /// Returns the length of the whole frame, including padding.
    pub(crate) fn frame_len(&self) -> usize {
        (HEADER_LEN + self.len as usize).next_multiple_of(ALIGN)
    }

    pub(crate) fn write(&self, out: &mut [u8; HEADER_LEN]) {
        out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.records.to_le_bytes());
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out[12..16].fill(0);
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.first.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.hlc.0.to_le_bytes());
        out[48..64].copy_from_slice(&self.chain_before.0.to_le_bytes());
        out[64..80].copy_from_slice(&self.chain_after.0.to_le_bytes());
        out[80..88].copy_from_slice(&self.payload_sum.to_le_bytes());
        let sum = xxh3_64(&out[..88]);
        out[88..96].copy_from_slice(&sum.to_le_bytes());
    }

    /// Returns the header at the beginning of `bytes` if it is valid and belongs to this segment.
    pub(crate) fn read(bytes: &[u8], salt: u64) -> Option<Self> {
        let head = bytes.first_chunk::<HEADER_LEN>()?;
        let u32_at = |at: usize| head[at..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
        let u64_at = |at: usize| head[at..].first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw));
        let u128_at = |at: usize| head[at..].first_chunk().map_or(0, |raw| u128::from_le_bytes(*raw));
        let sound = u32_at(0) == MAGIC && u64_at(16) == salt && u32_at(4) > 0 && u64_at(88) == xxh3_64(&head[..88]);
        sound.then(|| Self {
            records: u32_at(4),
            len: u32_at(8),
            salt,
            first: Lsn(u64_at(24)),
            epoch: Epoch(u64_at(32)),
            hlc: Hlc(u64_at(40)),
            chain_before: ChainHash(u128_at(48)),
            chain_after: ChainHash(u128_at(64)),
            payload_sum: u64_at(80),
        })
    }

    /// Returns the payload that follows this header in `frame`, if its checksum matches.
    pub(crate) fn payload<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let payload = frame.get(HEADER_LEN..HEADER_LEN + self.len as usize)?;
        (xxh3_64(payload) == self.payload_sum).then_some(payload)
    }
}
