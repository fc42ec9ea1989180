//! Compressed streams of frames, in pieces of any size.

use super::{check_words, choice, frames};
use crate::{Target, seal};
use bytes::Bytes;
use littoral_wire::{
    Decoder, Error, UPSTREAM_LEN_MAX,
    compression::{Compressor, Decompressor},
};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const TARGET: Target = Target { name: "compressed", run: compressed, seeds, memory: (4 << 20, 32) };

/// How many frames are decoded: a few bytes may expand to millions of small ones.
const FRAMES_MAX: usize = 1_000;

/// What comes of a stream: the hashes of its payloads, and the error, if any.
type Decoded = (Vec<u64>, Option<Error>);

fn compressed(input: &[u8]) {
    let (compresses, piece, stream) = choice(input);
    let piece = 1 + usize::from(piece);
    if compresses {
        // Frames arrive unchanged, whatever their bytes.
        let frames = Bytes::from(seal::wire_frames(stream));
        let mut compressor = Compressor::new().expect("there is memory");
        let sent: Vec<u8> = (frames.chunks(piece * 64))
            .flat_map(|batch| compressor.compress([frames.slice_ref(batch)]).expect("anything can be compressed"))
            .collect();
        let mut plain = Decoder::new(UPSTREAM_LEN_MAX);
        plain.push(frames);
        let mut expected = (Vec::new(), None);
        take(&mut plain, &mut expected);
        assert_eq!(decode(&sent, piece), expected);
        return;
    }
    let whole = decode(stream, stream.len().max(1));
    let pieces = decode(stream, piece);
    // A whole stream may fail before the last frames in front of the fault are returned.
    assert!(pieces.0.starts_with(&whole.0), "in pieces of {piece}");
    assert!(pieces.0.len() == FRAMES_MAX || whole.1.is_some() == pieces.1.is_some(), "in pieces of {piece}");
    if let Some(error) = pieces.1 {
        check_words(&error.to_string());
    }
}

fn decode(stream: &[u8], piece: usize) -> Decoded {
    let (mut decompressor, mut frames) =
        (Decompressor::new().expect("there is memory"), Decoder::new(UPSTREAM_LEN_MAX));
    let mut decoded = (Vec::new(), None);
    for piece in stream.chunks(piece) {
        decompressor.push(Bytes::copy_from_slice(piece));
        loop {
            match decompressor.next_piece() {
                Ok(Some(bytes)) => frames.push(bytes),
                Ok(None) => break,
                Err(error) => decoded.1 = Some(error),
            }
            if decoded.1.is_none() {
                take(&mut frames, &mut decoded);
            }
            if decoded.1.is_some() || decoded.0.len() >= FRAMES_MAX {
                decoded.0.truncate(FRAMES_MAX);
                return decoded;
            }
        }
    }
    decoded
}

fn take(frames: &mut Decoder, decoded: &mut Decoded) {
    while decoded.0.len() < FRAMES_MAX {
        match frames.next_payload() {
            Ok(Some(payload)) => decoded.0.push(xxh3_64(&payload)),
            Ok(None) => return,
            Err(error) => {
                decoded.1 = Some(error);
                return;
            }
        }
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for kind in ["upstream", "downstream"] {
        let of_kind = frames::golden().into_iter().filter(|(name, _)| name.starts_with(kind));
        let frames: Vec<u8> = of_kind.flat_map(|(_, frame)| frame).collect();
        let mut compressor = Compressor::new().expect("there is memory");
        let sent = compressor.compress([Bytes::from(frames.clone())]).expect("anything can be compressed");
        seeds.push((format!("{kind}-plain"), std::iter::once(2).chain(frames).collect()));
        seeds.push((format!("{kind}-compressed"), std::iter::once(17).chain(sent).collect()));
    }
    let mut compressor = Compressor::new().expect("there is memory");
    let bomb = compressor.compress([Bytes::from(vec![0; 8 << 20])]).expect("anything can be compressed");
    seeds.push(("bomb".to_owned(), std::iter::once(255).chain(bomb).collect()));
    seeds
}
