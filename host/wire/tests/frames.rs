//! Frames through the decoder: in arbitrary pieces, damaged, too long, truncated.

use bytes::Bytes;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    digest::{Checkpoint, Digest, ViewDigest},
    hlc::Hlc,
    merge::MergePolicy,
    position::{Incarnation, Lsn, Position},
    record::ChainHash,
    token::Watermark,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use littoral_protocol::frame::{Downstream, Upstream};
use littoral_wire::{Decoder, Error, HEADER_LEN, Outgoing, call, feed};
use proptest::prelude::*;
use std::sync::Arc;

fn stream(messages: &[Downstream]) -> Vec<u8> {
    let mut out = Outgoing::default();
    messages.iter().for_each(|message| feed::push_downstream(&mut out, message).unwrap());
    let mut bytes = Vec::new();
    while let Some(piece) = out.pop() {
        bytes.extend_from_slice(&piece);
    }
    assert!(out.is_empty());
    bytes
}

/// Decodes the bytes in pieces of the given lengths, repeatedly.
fn decode(bytes: &[u8], pieces: &[usize], len_max: usize) -> Result<Vec<Downstream>, Error> {
    let mut decoder = Decoder::new(len_max);
    let (mut rest, mut messages) = (Bytes::copy_from_slice(bytes), Vec::new());
    for len in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        decoder.push(rest.split_to((*len).clamp(1, rest.len())));
        while let Some(payload) = decoder.next_payload()? {
            messages.push(feed::downstream(&payload)?);
        }
    }
    decoder.finish()?;
    Ok(messages)
}

fn rows(bytes: Vec<u8>) -> Downstream {
    Downstream::SnapshotRows { rows: 1, bytes: bytes.into() }
}

#[test]
fn large_blocks_leave_without_a_copy_and_arrive_without_one() {
    let block = Bytes::from(vec![5; 1 << 20]);
    let mut out = Outgoing::default();
    feed::push_downstream(&mut out, &Downstream::SnapshotRows { rows: 9, bytes: block.clone() }).unwrap();
    let (head, tail) = (out.pop().unwrap(), out.pop().unwrap());
    assert_eq!(tail.as_ptr(), block.as_ptr());
    let whole = Bytes::from([&head[..], &tail[..]].concat());
    let mut decoder = Decoder::new(2 << 20);
    decoder.push(whole.clone());
    match feed::downstream(&decoder.next_payload().unwrap().unwrap()).unwrap() {
        Downstream::SnapshotRows { rows: 9, bytes } => {
            assert_eq!(bytes, block);
            assert_eq!(bytes.as_ptr(), whole[whole.len() - block.len()..].as_ptr());
        }
        other => panic!("{other:?}"),
    }
}

/// Creates a catalogue with this number of views.
fn catalogue(views: usize) -> Arc<Catalogue> {
    let mut catalogue = Catalogue::default();
    for number in 0..views {
        let view = FeatureView {
            id: ViewId(0),
            name: format!("view_{number}"),
            join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
            features: vec![Feature { name: "f".into(), value_type: ValueType::Int64 }],
            ttl_ms: None,
            merge: MergePolicy::default(),
        };
        let change = catalogue.prepare(CatalogueChange::PutView(view)).unwrap().unwrap();
        catalogue.apply(&change);
    }
    Arc::new(catalogue)
}

#[test]
fn streams_share_equal_bytes_in_the_same_memory() {
    for views in [0, 3, 2_000] {
        let begin = Downstream::SnapshotBegin {
            as_of: Position { incarnation: Incarnation(7), lsn: Lsn(300) },
            chain: ChainHash(u128::MAX),
            watermark: Watermark::default(),
            lineages: littoral_model::lineage::RegionLineages::default(),
            mixed: true,
            catalogue: catalogue(views),
            rows_estimate: 1 << 40,
        };
        let Downstream::SnapshotBegin { catalogue, .. } = &begin else { unreachable!() };
        let shared = feed::catalogue_bytes(catalogue).unwrap();
        let (mut one, mut other) = (Outgoing::default(), Outgoing::default());
        feed::push_snapshot_begin(&mut one, &begin, &shared).unwrap();
        feed::push_snapshot_begin(&mut other, &begin, &shared).unwrap();
        feed::push_downstream(&mut other, &rows(vec![4; 9])).unwrap();
        let is_large = views == 2_000;
        assert_eq!(one.len() - one.own_len(), if is_large { shared.len() } else { 0 });
        let largest = |out: &mut Outgoing| {
            let pieces: Vec<_> = std::iter::from_fn(|| out.pop_piece()).collect();
            let common = pieces.iter().find(|piece| piece.common).map(|piece| piece.bytes.as_ptr());
            (common, pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect::<Vec<u8>>())
        };
        let ((from, bytes), (from_other, bytes_of_other)) = (largest(&mut one), largest(&mut other));
        assert_eq!(
            (from, from_other),
            if is_large { (Some(shared.as_ptr()), Some(shared.as_ptr())) } else { (None, None) }
        );
        assert_eq!(bytes, stream(std::slice::from_ref(&begin)), "equal to serde's encoding");
        assert_eq!(bytes_of_other, stream(&[begin, rows(vec![4; 9])]));
        assert_eq!((one.len(), one.own_len(), other.len(), other.own_len()), (0, 0, 0, 0));
    }
}

#[test]
fn a_shared_checkpoint_equals_serdes_encoding() {
    for views in [0, 40] {
        let view = |view| ViewDigest { view: ViewId(view), rows: 5, digest: Digest::default() };
        let views = (0..views).map(view).collect();
        let checkpoint = Arc::new(Checkpoint { lsn: Lsn(9), at: Hlc(8), views });
        let mut out = Outgoing::default();
        feed::push_checkpoint(&mut out, &feed::checkpoint_bytes(&checkpoint).unwrap()).unwrap();
        let bytes: Vec<u8> = std::iter::from_fn(|| out.pop()).flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(bytes, stream(&[Downstream::Checkpoint(checkpoint)]));
    }
}

#[test]
fn a_length_beyond_the_limit_is_rejected_before_memory_is_allocated() {
    let mut decoder = Decoder::new(100);
    decoder.push(Bytes::from_static(&[101, 0, 0, 0]));
    assert_eq!(decoder.next_payload(), Ok(None));
    decoder.push(Bytes::from_static(&[0, 0, 0, 0]));
    assert_eq!(decoder.next_payload(), Err(Error::TooLong { len: 101, len_max: 100 }));
    let mut out = Outgoing::default();
    let big = Upstream::Hello(littoral_protocol::frame::SubscriberHello {
        version_min: 1,
        version_max: 1,
        subscriber: String::new(),
        views: littoral_protocol::frame::Views::Names(vec!["v".repeat(2 << 20)]),
        resume: None,
        holds: None,
        ended: None,
        watermark: littoral_model::token::Watermark::default(),
        lineages: littoral_model::lineage::RegionLineages::default(),
        cluster: None,
    });
    assert!(matches!(feed::push_upstream(&mut out, &big), Err(Error::TooLong { .. })));
    assert!(out.is_empty() && out.pop().is_none());
}

#[test]
fn a_long_frame_in_small_pieces_is_assembled_in_linear_time() {
    let bytes = stream(&[rows(vec![3; 32 << 20])]);
    let begun = std::time::Instant::now();
    assert_eq!(decode(&bytes, &[100], 64 << 20).unwrap().len(), 1);
    // Copying all earlier bytes for every piece would move 5 TB here, which takes many minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(120), "took {:?}", begun.elapsed());
}

#[test]
fn a_stream_that_ends_within_a_frame_is_truncated() {
    let bytes = stream(&[rows(vec![3; 50])]);
    for end in 1..bytes.len() {
        assert!(matches!(decode(&bytes[..end], &[7], 1_000), Err(Error::Truncated { .. })), "{end}");
    }
}

proptest! {
    #[test]
    fn messages_arrive_intact_in_pieces_of_any_length(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..5),
        pieces in prop::collection::vec(1usize..60_000, 1..6),
    ) {
        let sent: Vec<_> = blocks.into_iter().map(rows).collect();
        prop_assert_eq!(decode(&stream(&sent), &pieces, 1 << 20).unwrap(), sent);
    }

    #[test]
    fn one_flipped_bit_is_a_typed_error(
        block in prop::collection::vec(any::<u8>(), 0..2_000),
        bit in any::<prop::sample::Index>(),
        pieces in prop::collection::vec(1usize..500, 1..4),
    ) {
        let mut bytes = stream(&[rows(block)]);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = decode(&bytes, &pieces, 100_000).unwrap_err();
        if bit / 8 >= 4 {
            prop_assert!(matches!(error, Error::Checksum { .. }), "{error}");
        }
    }

    #[test]
    fn garbage_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..3_000),
        pieces in prop::collection::vec(1usize..500, 1..4),
    ) {
        let _ = decode(&bytes, &pieces, 100_000);
        let payload = Bytes::from(bytes);
        let _ = feed::downstream(&payload);
        let _ = feed::upstream(&payload);
        let _ = call::request(&payload);
        let _ = call::reply(&payload);
        let _ = call::reply_id(&payload);
        let _ = littoral_wire::records::iter(&payload).count();
        let _ = littoral_wire::records::last_chain(&payload);
        let _ = littoral_wire::rows::iter(&payload).count();
    }

    /// The checksum detects accidents, not attacks: behind a valid checksum the payload may be
    /// anything.
    #[test]
    fn garbage_behind_a_valid_checksum_never_panics(payload in prop::collection::vec(0u8..40, 0..200)) {
        let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&(xxhash_rust::xxh3::xxh3_64(&payload) as u32).to_le_bytes());
        bytes.extend_from_slice(&payload);
        let mut decoder = Decoder::new(1_000);
        decoder.push(bytes.into());
        let payload = decoder.next_payload().unwrap().unwrap();
        let _ = feed::downstream(&payload);
        let _ = feed::upstream(&payload);
        if let Ok(request) = call::request(&payload)
            && let littoral_protocol::call::Call::Write(write) = request.call
        {
            // A decoded block can be iterated over.
            prop_assert_eq!(write.rows.iter().count(), write.rows.len());
        }
        let _ = call::reply(&payload);
    }
}

#[test]
fn the_header_is_length_and_checksum() {
    let bytes = stream(&[Downstream::SnapshotEnd { rows: 5 }]);
    let payload = &bytes[HEADER_LEN..];
    assert_eq!(bytes[..4], (payload.len() as u32).to_le_bytes());
    assert_eq!(bytes[4..8], (xxhash_rust::xxh3::xxh3_64(payload) as u32).to_le_bytes());
}
