//! The feed's frames and messages, in pieces of any size.

use super::{check_words, choice};
use crate::{Target, seal};
use bytes::Bytes;
use littoral_protocol::frame::{Downstream, Upstream};
use littoral_wire::{Decoder, Error, Outgoing, UPSTREAM_LEN_MAX, feed};

pub(super) const TARGET: Target = Target { name: "frames", run: frames, seeds: whole_streams, memory: (1 << 20, 16) };
pub(super) const UPSTREAM: Target =
    Target { name: "upstream", run: upstream, seeds: || payloads("upstream"), memory: (1 << 20, 64) };
pub(super) const DOWNSTREAM: Target =
    Target { name: "downstream", run: downstream, seeds: || payloads("downstream"), memory: (2 << 20, 256) };

/// A stream yields the same payloads and the same error however it is split.
fn frames(input: &[u8]) {
    let (sealed, piece, stream) = choice(input);
    let stream = if sealed { seal::wire_frames(stream) } else { stream.to_vec() };
    let whole = decode(&stream, stream.len().max(1));
    let pieces = decode(&stream, 1 + usize::from(piece));
    assert_eq!(whole, pieces, "in pieces of {}", 1 + piece);
}

fn decode(stream: &[u8], piece: usize) -> (Vec<Bytes>, String) {
    let mut decoder = Decoder::new(UPSTREAM_LEN_MAX);
    let mut payloads = Vec::new();
    let mut take = |decoder: &mut Decoder| -> Result<(), Error> {
        while let Some(payload) = decoder.next_payload()? {
            payloads.push(payload);
        }
        Ok(())
    };
    for piece in stream.chunks(piece) {
        decoder.push(Bytes::copy_from_slice(piece));
        if let Err(error) = take(&mut decoder) {
            return (payloads, error.to_string());
        }
    }
    let end = decoder.finish().map_or_else(|error| error.to_string(), |()| String::new());
    (payloads, end)
}

fn upstream(payload: &[u8]) {
    match feed::upstream(payload) {
        Err(error) => check_words(&error.to_string()),
        Ok(message) => {
            let payload = sent(|out| feed::push_upstream(out, &message));
            assert_eq!(feed::upstream(&payload).as_ref().map_err(|_| ()), Ok::<&Upstream, ()>(&message));
        }
    }
}

fn downstream(payload: &[u8]) {
    match feed::downstream(&Bytes::copy_from_slice(payload)) {
        Err(error) => check_words(&error.to_string()),
        Ok(message) => {
            let payload = sent(|out| feed::push_downstream(out, &message));
            assert_eq!(feed::downstream(&payload).as_ref().map_err(|_| ()), Ok::<&Downstream, ()>(&message));
        }
    }
}

/// Returns the one payload that is pushed, as the receiver decodes it.
pub(super) fn sent(push: impl FnOnce(&mut Outgoing) -> Result<(), Error>) -> Bytes {
    let mut out = Outgoing::default();
    push(&mut out).expect("what was decoded can be encoded");
    let mut decoder = Decoder::new(usize::MAX);
    while let Some(piece) = out.pop() {
        decoder.push(piece);
    }
    let payload = decoder.next_payload().expect("our own frame is valid").expect("it is whole");
    assert_eq!(decoder.next_payload().map_err(|_| ()), Ok(None), "one frame was sent");
    payload
}

/// Returns the golden frames, by name.
pub(super) fn golden() -> Vec<(String, Vec<u8>)> {
    let mut files = crate::corpus::files(crate::corpus::fixtures().join("wire"), ".hex");
    files.sort();
    let text = files.pop().map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let unhex = |text: &str| -> Vec<u8> {
        let digits = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        (0..text.len()).step_by(2).filter_map(digits).collect()
    };
    text.lines().filter_map(|line| line.split_once(' ')).map(|(name, hex)| (name.to_owned(), unhex(hex))).collect()
}

/// Returns the golden frames of a kind, without their headers.
pub(super) fn payloads(kind: &str) -> Vec<(String, Vec<u8>)> {
    let of_kind = golden().into_iter().filter(|(name, frame)| name.starts_with(kind) && frame.len() >= 8);
    of_kind.map(|(name, frame)| (name, frame[8..].to_vec())).collect()
}

fn whole_streams() -> Vec<(String, Vec<u8>)> {
    let mut streams = Vec::new();
    for (kind, first) in [("upstream", 0_u8), ("downstream", 8), ("request", 3), ("reply", 255)] {
        let frames = golden().into_iter().filter(|(name, _)| name.starts_with(kind)).flat_map(|(_, frame)| frame);
        streams.push((kind.to_owned(), std::iter::once(first).chain(frames).collect()));
    }
    streams
}
