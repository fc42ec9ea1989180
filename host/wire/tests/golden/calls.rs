//! Calls between nodes, and their replies.

use crate::{at, lives, row, version, view};
use bytes::Bytes;
use littoral_model::{
    caller::{Caller, Credential},
    catalogue::CatalogueChange,
    entity_key::KeyBatch,
    event_time::EventTime,
    freshness::{Consistency, Degraded},
    module::{ModuleDigest, ModuleManifest},
    ports::ModulePut,
    position::{Epoch, Incarnation, Lsn},
    read::{ReadError, ViewRead},
    status::{ModuleStatus, NodeStatus, RegionStatus, Role, ViewStatus},
    tail::TailPiece,
    token::Watermark,
    trace::TraceContext,
    view::ViewId,
    write::{NamedRow, RowBatch, RowWrite, WriteConcern, WriteError, WriteReceipt, WriteRequest},
};
use littoral_protocol::{
    call::{Answer, BucketRead, Call, QuorumRead, Reply, Request, RowsRead},
    members::{
        EpochHistory,
        rpc::{self, CatchUp, Log, Rejection},
    },
};
use littoral_wire::rows;
use std::net::Ipv4Addr;

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

/// Returns calls of version 5 only: they belong to a trace.
pub fn traced_requests() -> Vec<Request> {
    let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let state = Some("rojo=00f067aa0ba902b7".parse().unwrap());
    let own = Request { context: Some(context.clone()), ..Request::new(400, Call::Status) };
    let caller = Some(writer());
    let forwarded =
        Request { caller, context: Some(TraceContext { state, ..context }), ..Request::new(401, Call::Checkpoint) };
    vec![own, forwarded]
}

fn writer() -> Caller {
    Caller {
        who: "token:writer".into(),
        from: Some(Ipv4Addr::LOCALHOST.into()),
        credential: Some(Credential::new("secret")),
    }
}

/// Returns calls.
pub fn requests() -> Vec<Request> {
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
    let change = Call::Change(CatalogueChange::PutView(view()));
    let forwarded = Request { caller: Some(writer()), ..Request::new(300, change) };
    calls.into_iter().zip(1..).map(|(call, id)| Request::new(id, call)).chain([forwarded]).collect()
}

fn status() -> NodeStatus {
    let region = version().region;
    NodeStatus {
        name: "leader-1".into(),
        role: Role::Leader,
        region,
        ready: true,
        not_ready_reason: String::new(),
        degraded: Some(Degraded::LeaderLost),
        epoch: Epoch(2),
        position: at(299),
        head: at(300),
        staleness_ms: Some(300),
        writable: true,
        watermark: Watermark::at(region, Incarnation(9), Lsn(7)),
        lineages: lives(),
        regions: vec![RegionStatus {
            region,
            connected: true,
            trouble: "none".into(),
            applied: at(299),
            head: at(300),
            behind_ms: Some(300),
            taken: Some(Lsn(298)),
        }],
        views: vec![ViewStatus { name: "route".into(), residency: "full".into(), rows: 300, bytes: 70_000 }],
        modules: vec![ModuleStatus { name: "m".into(), version: "1".into(), digest: "07".into(), ready: true }],
        gauges: [("clock_ms".to_owned(), 1.5)].into(),
    }
}

fn read_errors() -> impl Iterator<Item = ReadError> {
    let answered = vec![version().region];
    [
        ReadError::NotFreshEnough { wanted: "w".into(), have: "h".into() },
        ReadError::LeaderUnavailable("why".into()),
        ReadError::Overloaded("why".into()),
        ReadError::QuorumNotReached { needed: 2, of: 3, answered, missing: "m".into() },
        ReadError::TooLarge("why".into()),
        ReadError::TokenLost { token: "t".into(), reason: "why".into() },
        ReadError::TooManyWaiting(300),
        ReadError::NotAllHere("why".into()),
        ReadError::OutsideRegions("why".into()),
        ReadError::RowsUnknown("which".into()),
    ]
    .into_iter()
}

fn write_errors() -> impl Iterator<Item = WriteError> {
    let row = NamedRow { view: "route".into(), at: 3, key: "origin=ORD".into() };
    let (reached, token) = ("local".into(), "t".into());
    [
        WriteError::Invalid("why".into()),
        WriteError::IdempotencyMismatch("once".into()),
        WriteError::FutureEvent { event_time: "2026".into(), ahead_ms: 300, max_ms: 7, row },
        WriteError::NotDurable("why".into()),
        WriteError::Overloaded,
        WriteError::LeaderUnavailable("why".into()),
        WriteError::ConcernNotReached { wanted: WriteConcern::Regions(2), reached, waited_ms: 300, token },
        WriteError::NotLeader("why".into()),
        WriteError::InvalidRow { row: 3, reason: "why".into() },
        WriteError::Unauthenticated("why".into()),
        WriteError::Forbidden("why".into()),
        WriteError::OverQuota("why".into()),
        WriteError::OutsideRegions("why".into()),
        WriteError::MemoryFull { held: 300, max: 299, adds: 7 },
    ]
    .into_iter()
}

/// Returns replies to calls.
pub fn replies() -> Vec<Reply> {
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
        Answer::Receipt(Ok(receipt.clone())),
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
    let module = ModulePut { digest: ModuleDigest([7; 32]), manifest: ModuleManifest::default(), receipt };
    let answers = answers.into_iter().chain([Answer::Module(Ok(module)), Answer::Status(status())]);
    let answers = answers.chain(read_errors().map(|error| Answer::Read(Err(error))));
    let answers = answers.chain(write_errors().map(|error| Answer::Receipt(Err(error))));
    answers.zip(300..).map(|(answer, id)| Reply { id, answer }).collect()
}
