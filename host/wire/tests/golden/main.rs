//! Compares the wire encoding with `tests/fixtures/wire`, because nodes of another release must be able to read what
//! this one writes. `v5.hex` has the frames of this release, and `v4.hex` those of the previous one.
//!
//! For an intended change of the encoding: increase [`ProtocolVersion::NEWEST`] if the last release has its number, and
//! write the file of that version by running these tests with `LITTORAL_WRITE_FIXTURES=1`. The file of the previous
//! version never changes.

mod calls;
mod feed;

use bytes::Bytes;
use littoral_model::{
    event_time::EventTime,
    format::ProtocolVersion,
    hlc::Hlc,
    lineage::{RegionLineages, Start},
    merge::MergePolicy,
    position::{Epoch, Incarnation, Lsn, Position},
    record::{ChainHash, Payload, Record},
    row::{Row, RowMeta},
    value::ValueType,
    version::Version,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use littoral_protocol::frame::{Downstream, Upstream};
use littoral_wire::{Decoder, Outgoing, call, records};
use std::{fmt::Write as _, path::PathBuf};

fn at(lsn: u64) -> Position {
    Position { incarnation: Incarnation(0x0102_0304), lsn: Lsn(lsn) }
}

fn version() -> Version {
    Version { hlc: Hlc::new(1_700_000_000_000, 3), region: "us-east".parse().unwrap() }
}

fn row(body: Option<&[u8]>) -> Row {
    let meta = RowMeta { view: ViewId(3), event_time: EventTime(-5), version: version(), lsn: Lsn(300) };
    Row::new(meta, b"key", body)
}

fn record(payload: Payload<'_>) -> Record<'_> {
    let mut record = Record {
        lsn: Lsn(300),
        epoch: Epoch(2),
        origin: version().region,
        origin_lsn: Lsn(300),
        hlc: version().hlc,
        chain: ChainHash::GENESIS,
        payload,
    };
    record.chain = record.chain_after(ChainHash(9));
    record
}

fn view() -> FeatureView {
    FeatureView {
        id: ViewId(3),
        name: "route".into(),
        join_keys: vec![JoinKey { name: "origin".into(), entity: "origin".into(), value_type: ValueType::String }],
        features: vec![Feature { name: "flights".into(), value_type: ValueType::Int64 }],
        ttl_ms: Some(60_000),
        merge: MergePolicy::LatestEvent,
    }
}

fn lives() -> RegionLineages {
    let mut lives = RegionLineages::default();
    let ours = lives.entry(version().region, Incarnation(0x0102_0304));
    ours.begin(Start { life: Incarnation(12), first: Lsn(300), after: Incarnation(11), shared: Lsn(299) });
    lives
}

fn one(push: impl FnOnce(&mut Outgoing)) -> Vec<u8> {
    let mut out = Outgoing::default();
    push(&mut out);
    let frame = out.pop().unwrap();
    assert!(out.is_empty());
    frame.to_vec()
}

/// The frames of a release, by name.
type Frames = Vec<(String, Vec<u8>)>;

fn frames(upstreams: &[Upstream], downstreams: &[Downstream]) -> Frames {
    let mut frames = Frames::new();
    let mut add = |kind: &str, number: usize, frame| frames.push((format!("{kind}-{number}"), frame));
    for (number, message) in upstreams.iter().enumerate() {
        add("upstream", number, one(|out| littoral_wire::feed::push_upstream(out, message).unwrap()));
    }
    for (number, message) in downstreams.iter().enumerate() {
        add("downstream", number, one(|out| littoral_wire::feed::push_downstream(out, message).unwrap()));
    }
    for (number, message) in calls::requests().iter().enumerate() {
        add("request", number, one(|out| call::push_request(out, message).unwrap()));
    }
    for (number, message) in calls::replies().iter().enumerate() {
        add("reply", number, one(|out| call::push_reply(out, message).unwrap()));
    }
    frames
}

/// Returns the frames of the previous release. It spoke versions 3 and 4.
fn frames_of_the_previous_release() -> Frames {
    let version = ProtocolVersion::PREVIOUS.number();
    frames(&feed::upstreams((3, version)), &feed::downstreams(version))
}

/// Returns the frames of this release.
fn frames_of_this_release() -> Frames {
    let (previous, newest) = (ProtocolVersion::PREVIOUS.number(), ProtocolVersion::NEWEST.number());
    let mut frames = frames(&feed::upstreams((previous, newest)), &feed::downstreams(newest));
    for (number, message) in calls::traced_requests().iter().enumerate() {
        frames.push((format!("traced-request-{number}"), one(|out| call::push_request(out, message).unwrap())));
    }
    frames
}

fn path(version: ProtocolVersion) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/fixtures/wire/v{version}.hex"))
}

fn assert_equal(version: ProtocolVersion, frames: Frames) {
    let mut text = String::new();
    for (name, frame) in frames {
        let hex = frame.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        writeln!(text, "{name} {hex}").unwrap();
    }
    if std::env::var_os("LITTORAL_WRITE_FIXTURES").is_some() && version == ProtocolVersion::NEWEST {
        std::fs::write(path(version), &text).unwrap();
    }
    let golden = std::fs::read_to_string(path(version)).unwrap();
    for (ours, theirs) in text.lines().zip(golden.lines()) {
        assert_eq!(ours, theirs, "the encoding of version {version} has changed");
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}

#[test]
fn frames_of_this_version_are_unchanged_byte_for_byte() {
    assert_equal(ProtocolVersion::NEWEST, frames_of_this_release());
}

/// This is what a node sends to one of the previous release, and what a held node sends to every node.
#[test]
fn frames_of_the_previous_version_are_unchanged_byte_for_byte() {
    assert_equal(ProtocolVersion::PREVIOUS, frames_of_the_previous_release());
}

/// Every frame that the previous release sends, as it was written then.
#[test]
fn frames_of_the_previous_release_are_decoded() {
    let golden = std::fs::read_to_string(path(ProtocolVersion::PREVIOUS)).unwrap();
    let mut decoded = [0; 4];
    for line in golden.lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let payload = payload(&(0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>());
        let (kind, number) = name.split_once('-').unwrap();
        let number: usize = number.parse().unwrap();
        let version = ProtocolVersion::PREVIOUS.number();
        match kind {
            "upstream" => {
                let message = littoral_wire::feed::upstream(&payload);
                assert_eq!(message.as_ref(), Ok(&feed::upstreams((3, version))[number]));
                decoded[0] += 1;
            }
            "downstream" => {
                let message = littoral_wire::feed::downstream(&payload).unwrap();
                if let Downstream::Records { bytes, .. } = &message {
                    let ours = ProtocolVersion::PREVIOUS;
                    assert!(records::iter(bytes).all(|record| record.unwrap().payload.since() <= ours));
                }
                assert_eq!(message, feed::downstreams(version)[number]);
                decoded[1] += 1;
            }
            "request" => {
                assert_eq!(call::request(&payload).as_ref(), Ok(&calls::requests()[number]));
                decoded[2] += 1;
            }
            _ => {
                assert_eq!(call::reply(&payload).as_ref(), Ok(&calls::replies()[number]));
                decoded[3] += 1;
            }
        }
    }
    assert!(decoded.iter().all(|count| *count >= 5), "{decoded:?}");
}

fn payload(frame: &[u8]) -> Bytes {
    let mut decoder = Decoder::new(1 << 20);
    decoder.push(Bytes::copy_from_slice(frame));
    decoder.next_payload().unwrap().unwrap()
}

#[test]
fn every_message_round_trips_and_equals_serdes_encoding() {
    let (previous, newest) = (ProtocolVersion::PREVIOUS.number(), ProtocolVersion::NEWEST.number());
    for message in feed::upstreams((previous, newest)) {
        let payload = payload(&one(|out| littoral_wire::feed::push_upstream(out, &message).unwrap()));
        assert_eq!(littoral_wire::feed::upstream(&payload), Ok(message));
    }
    // Blocks are encoded and decoded by hand to share their bytes; the result must equal serde's.
    for message in feed::downstreams(newest) {
        let payload = payload(&one(|out| littoral_wire::feed::push_downstream(out, &message).unwrap()));
        assert_eq!(payload, postcard::to_stdvec(&message).unwrap(), "{message:?}");
        assert_eq!(littoral_wire::feed::downstream(&payload), Ok(message));
    }
    for message in calls::requests().into_iter().chain(calls::traced_requests()) {
        let payload = payload(&one(|out| call::push_request(out, &message).unwrap()));
        assert_eq!(call::request(&payload), Ok(message));
    }
    for message in calls::replies() {
        let payload = payload(&one(|out| call::push_reply(out, &message).unwrap()));
        assert_eq!(payload, postcard::to_stdvec(&message).unwrap(), "{message:?}");
        assert_eq!(call::reply_id(&payload), Ok(message.id));
        assert_eq!(call::reply(&payload), Ok(message));
    }
}

#[test]
fn batches_with_ranges_outside_their_bytes_are_rejected() {
    // A read of one view with the key bytes "k" and an end of 9, and a write whose span ends past
    // its bytes.
    for (what, hostile) in
        [("keys", vec![1, 0, 1, 3, 1, b'k', 1, 9, 0]), ("rows", vec![1, 1, 1, b'k', 1, 3, 0, 1, 200, 1, 0, 0, 0, 0, 0])]
    {
        let error = call::request(&hostile).unwrap_err();
        assert!(error.to_string().contains("outside its bytes"), "{what}: {error}");
    }
}
