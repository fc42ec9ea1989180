//! Corrects checksums, so that mutated bytes reach the code behind them. Every function leaves unrecognized bytes
//! unchanged; if an input's first byte is odd, targets do not correct checksums.

use xxhash_rust::xxh3::xxh3_64;

/// Corrects frames of the wire: `u32 length | u32 checksum | payload`. A length beyond the bytes is reduced.
#[must_use]
pub fn wire_frames(input: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    let mut at = 0;
    while let Some(len) = u32_at(&out, at) {
        let end = (at + 8).saturating_add(len as usize).min(out.len());
        if end < at + 8 {
            break;
        }
        let payload = (end - at - 8) as u32;
        let sum = xxh3_64(&out[at + 8..end]) as u32;
        out[at..at + 4].copy_from_slice(&payload.to_le_bytes());
        out[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    out
}

/// Corrects a leader's snapshot: blocks of `kind u32 | len u32 | xxh3 u64 | payload` after 16 bytes.
#[must_use]
pub fn snapshot(input: &[u8]) -> Vec<u8> {
    blocks(input, 16, 16, 4, 8)
}

/// Corrects an edge's snapshot: blocks of `kind u8 | len u32 | xxh3 u64 | payload` after 12 bytes.
#[must_use]
pub fn edge_snapshot(input: &[u8]) -> Vec<u8> {
    blocks(input, 12, 13, 1, 5)
}

fn blocks(input: &[u8], start: usize, header: usize, len_at: usize, sum_at: usize) -> Vec<u8> {
    let mut out = input.to_vec();
    let mut at = start;
    while at + header <= out.len() {
        let Some(len) = u32_at(&out, at + len_at) else { break };
        let end = (at + header).saturating_add(len as usize).min(out.len());
        let payload = (end - at - header) as u32;
        let sum = xxh3_64(&out[at + header..end]);
        out[at + len_at..at + len_at + 4].copy_from_slice(&payload.to_le_bytes());
        out[at + sum_at..at + sum_at + 8].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    out
}

/// The bytes of a segment's header that have content; the rest of its page is zeros.
pub const SEGMENT_HEAD: usize = 88;
const SEGMENT_PAGE: usize = 4_096;
const FRAME_HEADER: usize = 96;

/// Expands a log's segment from its short form: the header without the zeros of its page, then frames. Corrects
/// checksums, salts and padding.
#[must_use]
pub fn segment(short: &[u8], sealed: bool) -> Vec<u8> {
    let (head, frames) = short.split_at(short.len().min(SEGMENT_HEAD));
    let mut out = head.to_vec();
    out.resize(SEGMENT_PAGE, 0);
    out.extend_from_slice(frames);
    if !sealed {
        return out;
    }
    let sum = xxh3_64(&out[..56]);
    out[56..64].copy_from_slice(&sum.to_le_bytes());
    if out[64..88].iter().any(|byte| *byte != 0) {
        let sum = xxh3_64(&out[..80]);
        out[80..88].copy_from_slice(&sum.to_le_bytes());
    }
    let salt: [u8; 8] = out[16..24].try_into().unwrap_or_default();
    seal_frames(&mut out, SEGMENT_PAGE, salt);
    out
}

/// The first block of a detached tail.
const TAIL_HEAD: usize = 512;

/// Expands a detached tail from its short form: the head without the zeros after it, then frames with the given salt.
#[must_use]
pub fn tail(short: &[u8], salt: [u8; 8], sealed: bool) -> Vec<u8> {
    let len = u32_at(short, 12).map_or(8, |len| (len as usize).clamp(8, 256));
    let (head, rest) = short.split_at(short.len().min(16 + len));
    let mut out = head.to_vec();
    out.resize(TAIL_HEAD, 0);
    out.extend_from_slice(rest);
    if sealed {
        out[12..16].copy_from_slice(&(len as u32).to_le_bytes());
        let sum = xxh3_64(&out[24..16 + len]);
        out[16..24].copy_from_slice(&sum.to_le_bytes());
        seal_frames(&mut out, TAIL_HEAD, salt);
    }
    out
}

fn seal_frames(out: &mut [u8], start: usize, salt: [u8; 8]) {
    let mut at = start;
    while at + FRAME_HEADER <= out.len() {
        let Some(len) = u32_at(out, at + 8) else { break };
        let end = (at + FRAME_HEADER).saturating_add(len as usize).min(out.len());
        let payload = xxh3_64(&out[at + FRAME_HEADER..end]);
        out[at + 8..at + 12].copy_from_slice(&((end - at - FRAME_HEADER) as u32).to_le_bytes());
        out[at + 16..at + 24].copy_from_slice(&salt);
        out[at + 80..at + 88].copy_from_slice(&payload.to_le_bytes());
        let header = xxh3_64(&out[at..at + 88]);
        out[at + 88..at + 96].copy_from_slice(&header.to_le_bytes());
        at = end.next_multiple_of(8);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw))
}
