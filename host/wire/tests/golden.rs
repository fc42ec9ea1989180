//! Compares the wire encoding with `tests/fixtures/wire/v4.hex`, because peers of another release
//! must be able to read what we write. For an intended change of the encoding: increase the
//! protocol version, keep the old file, and write a new one by running these tests with
//! `LITTORAL_WRITE_FIXTURES=1`.

use bytes::Bytes;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    cluster::ClusterId,
    digest::{Checkpoint, Digest, ViewDigest},
    entity_key::KeyBatch,
    event_time::EventTime,
    freshness::Consistency,
    hlc::Hlc,
    lineage::{RegionLineages, Start},
    merge::MergePolicy,
    module::ModuleDigest,
    origin::Seen,
    position::{Epoch, Incarnation, Lsn, Position},
    read::{ReadError, ViewRead},
    record::{ChainHash, Payload, Record},
    row::{Row, RowMeta},
    tail::TailPiece,
    token::Watermark,
    value::ValueType,
    version::Version,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::{RowBatch, RowWrite, WriteConcern, WriteError, WriteReceipt, WriteRequest},
};
use littoral_protocol::{
    call::{Answer, BucketRead, Call, QuorumRead, Reply, Request, RowsRead},
    frame::*,
    members::{
        EpochHistory,
        rpc::{self, CatchUp, Log, Rejection},
    },
};
use littoral_wire::{Decoder, Outgoing, call, feed, records, rows, v3};
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

fn lineages() -> RegionLineages {
    let mut lineages = RegionLineages::default();
    let ours = lineages.entry(version().region, Incarnation(0x0102_0304));
    ours.begin(Start { life: Incarnation(12), first: Lsn(300), after: Incarnation(11), shared: Lsn(299) });
    lineages
}

fn upstreams() -> Vec<Upstream> {
    let resume = Resume { position: at(299), chain: ChainHash(u128::MAX - 1) };
    let hello = |views, resume| {
        let watermark = Watermark::at(version().region, Incarnation(9), Lsn(7));
        let subscriber = "edge-1".into();
        let cluster = Some(ClusterId(77));
        let (version_min, version_max, lineages) = (3, 4, lineages());
        Upstream::Hello(SubscriberHello {
            version_min,
            version_max,
            subscriber,
            views,
            resume,
            holds: None,
            ended: None,
            watermark,
            lineages,
            cluster,
        })
    };
    vec![
        hello(Views::All, None),
        hello(Views::Names(vec!["route".into(), "airport".into()]), Some(resume)),
        hello(Views::ForRegion(version().region), Some(resume)),
        Upstream::Ping { seq: 1_000 },
        Upstream::Applied { lsn: Lsn(300) },
    ]
}

fn downstreams() -> Vec<Downstream> {
    let mut rows_block = Vec::new();
    rows::push(&mut rows_block, Some(&row(Some(b"body")))).unwrap();
    rows::push(&mut rows_block, Some(&row(None))).unwrap();
    let mut records_block = Vec::new();
    let (view, event_time) = (ViewId(3), EventTime(1_700_000_000_000_000_000));
    let seen = Seen { region: version().region, lsn: Lsn(7), hlc: version().hlc };
    for payload in [
        Payload::Row { view, event_time, key: b"key", body: b"body" },
        Payload::Tombstone { view, event_time, key: b"key" },
        Payload::Catalogue(Box::new(CatalogueChange::DropView("route".into()))),
        Payload::Receipt { idempotency_key: "once", content: 7, first: Lsn(1), last: Lsn(2) },
        Payload::Collect { before: Hlc::new(1_700_000_000_000, 0) },
        Payload::BeginUnnamed,
        Payload::Through { incarnation: Incarnation(9), chain: ChainHash(10), seen: vec![seen] },
        Payload::Begin { life: Incarnation(12), after: Incarnation(11), shared: Lsn(299) },
    ] {
        records::push(&mut records_block, &record(payload)).unwrap();
    }
    let hello = PublisherHello {
        version: 4,
        region: version().region,
        epoch: Epoch(2),
        head: at(300),
        mode: Mode::Snapshot,
        rehomed: Some(Resume { position: at(200), chain: ChainHash(3) }),
        watermark: Watermark::at(version().region, Incarnation(0x0102_0304), Lsn(300)),
        heartbeat_ms: 100,
        lineages: lineages(),
        forked: Some(Resume { position: at(150), chain: ChainHash(4) }),
        cluster: Some(ClusterId(77)),
        succeeds: Some(Incarnation(5)),
        configured: vec![version().region, "us-east".parse().unwrap()],
    };
    let mut digest = Digest::default();
    digest.add(&row(Some(b"body")));
    let checkpoint =
        Checkpoint { lsn: Lsn(300), at: version().hlc, views: vec![ViewDigest { view: ViewId(3), rows: 1, digest }] };
    let catalogue = Catalogue::default().into();
    let watermark = Watermark::at("eu-west".parse().unwrap(), Incarnation(9), Lsn(7));
    vec![
        Downstream::Hello(hello),
        Downstream::SnapshotBegin {
            as_of: at(299),
            chain: ChainHash(9),
            watermark,
            lineages: lineages(),
            mixed: true,
            catalogue,
            rows_estimate: 2,
        },
        Downstream::SnapshotRows { rows: 2, bytes: rows_block.into() },
        Downstream::SnapshotEnd { rows: 2 },
        Downstream::Records { first: Lsn(297), last: Lsn(300), chain_after: ChainHash(5), bytes: records_block.into() },
        Downstream::Heartbeat {
            clock: version().hlc,
            head: at(300),
            echo: 1_000,
            behind_us: Some(0),
            leader_lost: false,
        },
        Downstream::Error { code: ErrorCode::Slow, message: "too slow".into() },
        Downstream::Checkpoint(checkpoint.into()),
    ]
}

fn member_log() -> Log {
    let mut history = EpochHistory::after(Epoch(1), Lsn(298));
    history.push(Epoch(1), Lsn(299)).unwrap();
    history.push(Epoch(4), Lsn(300)).unwrap();
    Log { incarnation: Incarnation(0x0102_0304), promised: Epoch(5), history }
}

fn joined(catch_up: CatchUp) -> Answer {
    let incarnation = Incarnation(0x0102_0304);
    Answer::Member(Ok(rpc::Reply::Joined { session: 3, epoch: Epoch(5), incarnation, committed: Lsn(299), catch_up }))
}

fn requests() -> Vec<Request> {
    let mut keys = KeyBatch::default();
    keys.push(b"key");
    let mut batch = RowBatch::default();
    batch.push(RowWrite { view: ViewId(3), event_time: EventTime(5), key: b"key", body: Some(b"body") });
    let write = WriteRequest {
        rows: batch,
        idempotency_key: Some("once".into()),
        concern: WriteConcern::Local,
        concern_wait_ms: 0,
        part: None,
    };
    let reads = vec![ViewRead { view: ViewId(3), keys }];
    let calls = [
        Call::Read { reads: reads.clone(), consistency: Consistency::Replica },
        Call::Write(write),
        Call::Change(CatalogueChange::DropModule("m".into())),
        Call::PutModule { name: "m".into(), version: "1".into(), component: Bytes::from_static(b"\0asm") },
        Call::FetchModule { digest: ModuleDigest([7; 32]) },
        Call::Status,
        Call::Checkpoint,
        Call::Bucket { view: ViewId(3), bucket: 200, after: Some(Bytes::from_static(b"key")) },
        Call::Member(rpc::Request::Prepare { member: "b".into(), epoch: Epoch(5) }),
        Call::Member(rpc::Request::Join { member: "b".into(), log: member_log() }),
        Call::Member(rpc::Request::Fetch {
            member: "b".into(),
            session: 3,
            from: Lsn(301),
            bytes_max: 1 << 20,
            wait_ms: 200,
        }),
        Call::Member(rpc::Request::Records { epoch: Epoch(5), from: Lsn(301), bytes_max: 1 << 20 }),
        Call::Member(rpc::Request::Snapshot { as_of: Lsn(300), offset: 4_096, bytes_max: 1 << 20 }),
        Call::Member(rpc::Request::Merge { piece: "tail/1".into(), records: Bytes::from_static(b"records") }),
        Call::Quorum { reads: reads.clone(), wait_ms: 500 },
        Call::Held { reads },
        Call::Merge(TailPiece {
            name: "tail/1".into(),
            region: version().region,
            log: Incarnation(0x0102_0304),
            view: view(),
            records: Bytes::from_static(b"records"),
        }),
        Call::Certify(Bytes::from_static(b"request")),
    ];
    calls.into_iter().zip(1..).map(|(call, id)| Request::new(id, call)).collect()
}

fn replies() -> Vec<Reply> {
    let mut block = Vec::new();
    rows::push(&mut block, None).unwrap();
    rows::push(&mut block, Some(&row(Some(b"body")))).unwrap();
    let watermark = Watermark::at(version().region, Incarnation(0x0102_0304), Lsn(300));
    let read = RowsRead { as_of: at(300), watermark: watermark.clone(), counts: vec![2], bytes: block.into() };
    let receipt = WriteReceipt {
        first: Lsn(300),
        position: at(300),
        token: watermark,
        concern: WriteConcern::Local,
        duplicate: true,
        outranked: littoral_model::outranked::Outranked { count: 300, rows: vec![0, 2] },
    };
    let answers = [
        Answer::Read(Ok(read.clone())),
        Answer::Read(Err(ReadError::NotReady)),
        Answer::Receipt(Ok(receipt)),
        Answer::Receipt(Err(WriteError::UnknownView("route".into()))),
        Answer::Component(Some(Bytes::from_static(b"\0asm"))),
        Answer::Component(None),
        Answer::Rejected("no".into()),
        Answer::Checkpoint(Ok(Lsn(300))),
        Answer::Bucket(Ok(BucketRead { as_of: at(300), more: true, bytes: Bytes::from_static(b"rows") })),
        Answer::Member(Ok(rpc::Reply::Promised(member_log()))),
        joined(CatchUp::Records { common: Lsn(299) }),
        joined(CatchUp::Snapshot { as_of: Lsn(300), len: 70_000 }),
        Answer::Member(Ok(rpc::Reply::Records {
            first: Lsn(301),
            last: Lsn(302),
            bytes: Bytes::from_static(b"records"),
            committed: Lsn(300),
            tail: Some(Lsn(302)),
        })),
        Answer::Member(Ok(rpc::Reply::SnapshotChunk(Bytes::from_static(b"part")))),
        Answer::Member(Ok(rpc::Reply::Merged(Lsn(303)))),
        Answer::Member(Err(Rejection::StaleEpoch { asked: Epoch(5), promised: Epoch(6) })),
        Answer::Member(Err(Rejection::NotLeading { leader: Some("a".into()) })),
        Answer::Member(Err(Rejection::NotAMember("z".into()))),
        Answer::Member(Err(Rejection::OtherLog { theirs: Incarnation(1), ours: Incarnation(2) })),
        Answer::Member(Err(Rejection::Superseded)),
        Answer::Member(Err(Rejection::Trimmed("trimmed".into()))),
        Answer::Member(Err(Rejection::Failed("why".into()))),
        Answer::Quorum(Ok(QuorumRead { rows: read, regions: vec![version().region] })),
        Answer::Certified(Ok(Bytes::from_static(b"reply"))),
        Answer::Certified(Err("why".into())),
    ];
    answers.into_iter().zip(300..).map(|(answer, id)| Reply { id, answer }).collect()
}

fn one(push: impl FnOnce(&mut Outgoing)) -> Vec<u8> {
    let mut out = Outgoing::default();
    push(&mut out);
    let frame = out.pop().unwrap();
    assert!(out.is_empty());
    frame.to_vec()
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut add = |kind: &str, number: usize, frame| frames.push((format!("{kind}-{number}"), frame));
    for (number, message) in upstreams().iter().enumerate() {
        add("upstream", number, one(|out| feed::push_upstream(out, message).unwrap()));
    }
    for (number, message) in downstreams().iter().enumerate() {
        add("downstream", number, one(|out| feed::push_downstream(out, message).unwrap()));
    }
    for (number, message) in requests().iter().enumerate() {
        add("request", number, one(|out| call::push_request(out, message).unwrap()));
    }
    for (number, message) in replies().iter().enumerate() {
        add("reply", number, one(|out| call::push_reply(out, message).unwrap()));
    }
    frames
}

#[test]
fn frames_are_unchanged_byte_for_byte() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire/v4.hex");
    let mut text = String::new();
    for (name, frame) in frames() {
        let hex = frame.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        writeln!(text, "{name} {hex}").unwrap();
    }
    if std::env::var_os("LITTORAL_WRITE_FIXTURES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (ours, theirs) in text.lines().zip(golden.lines()) {
        assert_eq!(ours, theirs, "the wire encoding has changed");
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}

/// In the previous version, receipts had no list of outranked rows.
#[test]
fn calls_of_the_previous_version_can_be_decoded() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire/v3.hex");
    let text = std::fs::read_to_string(path).unwrap();
    let of = |name: &str| -> Vec<Bytes> {
        let lines = text.lines().filter(|line| line.split_once(' ').is_some_and(|(of, _)| of.starts_with(name)));
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
        };
        lines.map(|line| payload(&bytes(line.rsplit_once(' ').unwrap().1))).collect()
    };
    assert!(of("request").iter().all(|payload| call::request(payload).is_ok()));
    let replies: Vec<Reply> = of("reply").iter().map(|payload| call::reply(payload).unwrap()).collect();
    let receipts = replies.iter().filter_map(|reply| match &reply.answer {
        Answer::Receipt(Ok(receipt)) => Some(receipt),
        _ => None,
    });
    assert!(receipts.clone().count() > 0 && receipts.clone().all(|receipt| receipt.outranked.is_none()));
}

fn payload(frame: &[u8]) -> Bytes {
    let mut decoder = Decoder::new(1 << 20);
    decoder.push(Bytes::copy_from_slice(frame));
    decoder.next_payload().unwrap().unwrap()
}

#[test]
fn every_message_round_trips_and_equals_serdes_encoding() {
    for message in upstreams() {
        let payload = payload(&one(|out| feed::push_upstream(out, &message).unwrap()));
        assert_eq!(feed::upstream(&payload), Ok(message));
    }
    // Blocks are encoded and decoded by hand to share their bytes; the result must equal serde's.
    for message in downstreams() {
        let payload = payload(&one(|out| feed::push_downstream(out, &message).unwrap()));
        assert_eq!(payload, postcard::to_stdvec(&message).unwrap(), "{message:?}");
        assert_eq!(feed::downstream(&payload), Ok(message));
    }
    for message in requests() {
        let payload = payload(&one(|out| call::push_request(out, &message).unwrap()));
        assert_eq!(call::request(&payload), Ok(message));
    }
    for message in replies() {
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

/// The fixture was written by a build for version 3, in which three messages contain no life: a
/// hello, the start of a snapshot, and the record that begins a leadership.
#[test]
fn messages_of_a_version_3_publisher_can_be_decoded_and_its_hello_is_unchanged() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire/v3.hex");
    let golden = std::fs::read_to_string(&path).unwrap();
    let old = |wanted: &str| {
        let hex = golden.lines().find_map(|line| line.strip_prefix(&format!("{wanted} "))).unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>()
    };
    for (number, ours) in downstreams().into_iter().enumerate() {
        let read = v3::downstream(&payload(&old(&format!("downstream-{number}")))).unwrap();
        let without = match ours {
            Downstream::Hello(hello) => Downstream::Hello(PublisherHello {
                version: 2,
                lineages: RegionLineages::default(),
                forked: None,
                cluster: None,
                succeeds: None,
                configured: Vec::new(),
                ..hello
            }),
            Downstream::SnapshotBegin { as_of, chain, watermark, mixed, catalogue, rows_estimate, .. } => {
                let lineages = RegionLineages::default();
                Downstream::SnapshotBegin { as_of, chain, watermark, lineages, mixed, catalogue, rows_estimate }
            }
            Downstream::Records { bytes, .. } => {
                let Downstream::Records { bytes: theirs, .. } = &read else { panic!("{read:?}") };
                let theirs: Vec<_> = records::iter(theirs).map(Result::unwrap).collect();
                let ours: Vec<_> = records::iter(&bytes).map(Result::unwrap).take(theirs.len()).collect();
                assert_eq!(theirs, ours);
                continue;
            }
            same => same,
        };
        assert_eq!(read, without);
    }
    for (number, message) in upstreams().iter().enumerate() {
        let Upstream::Hello(hello) = message else { continue };
        let hello = Upstream::Hello(SubscriberHello { version_min: 2, ..hello.clone() });
        let mut ours = payload(&one(|out| v3::push_upstream(out, &hello).unwrap())).to_vec();
        // The third byte is the newest version that it supports.
        assert_eq!(ours[2], 3);
        ours[2] = 2;
        assert_eq!(ours, payload(&old(&format!("upstream-{number}"))));
    }
}
