//! The messages of the feed.

use crate::{at, lives, record, row, version, view};
use bytes::Bytes;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    cluster::{Affiliation, ClusterId},
    details::{About, PushSourceDefinition, RowSource, ServiceDefinition, ViewDefinition, ViewDetails},
    digest::{Checkpoint, Digest, ViewDigest},
    event_time::EventTime,
    hlc::Hlc,
    module::{Field, Input, ModuleDigest, ModuleManifest, ModuleRelease},
    origin::Seen,
    position::{Epoch, Incarnation, Lsn},
    project::{Project, Quotas},
    record::{ChainHash, Payload},
    service::{FeatureService, Projection, PushSource},
    token::Watermark,
    value::ValueType,
    view::ViewId,
};
use littoral_protocol::frame::*;
use littoral_wire::{records, rows};

/// Returns messages of subscribers that speak these versions.
pub fn upstreams((version_min, version_max): (u16, u16)) -> Vec<Upstream> {
    let resume = Resume { position: at(299), chain: ChainHash(u128::MAX - 1) };
    let hello = |views, resume| {
        let watermark = Watermark::at(version().region, Incarnation(9), Lsn(7));
        let subscriber = "edge-1".into();
        let cluster = Some(ClusterId(77));
        let lives = lives();
        Upstream::Hello(SubscriberHello {
            version_min,
            version_max,
            subscriber,
            views,
            resume,
            holds: None,
            ended: None,
            watermark,
            lineages: lives,
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

/// Returns a block with each kind of record that `downstreams` has not in its first block of records.
fn definitions() -> Bytes {
    let service = || {
        let (alias, features) = (Some("r".into()), vec!["flights".into()]);
        let projection = Projection {
            view: "route".into(),
            alias,
            features,
            join_key_map: vec![("origin".into(), "airport".into())],
        };
        FeatureService { name: "delays".into(), projections: vec![projection] }
    };
    let push_source = || PushSource { name: "route_push".into(), views: vec!["route".into()] };
    let about = || About {
        description: "daily".into(),
        tags: [("team".to_owned(), "ops".to_owned())].into(),
        owner: "ops".into(),
    };
    let source = RowSource {
        name: "route_source".into(),
        about: about(),
        event_timestamp: Some("at".into()),
        created: Some("created".into()),
        field_mapping: [("n".to_owned(), "flights".to_owned())].into(),
    };
    let details = ViewDetails {
        about: about(),
        entities: [("origin".to_owned(), about())].into(),
        features: [("flights".to_owned(), about())].into(),
        source: Some(source),
    };
    let field = |name: &str| Field { name: name.into(), value_type: ValueType::Double };
    let input = Input {
        view: "route".into(),
        feature: "flights".into(),
        value_type: ValueType::Int64,
        join_key_map: vec![("origin".into(), "airport".into())],
    };
    let manifest = ModuleManifest {
        inputs: vec![input],
        params: vec![field("hour")],
        outputs: vec![field("delay")],
        lookups: vec!["route".into()],
        row_wise: true,
    };
    let release =
        ModuleRelease { name: "m".into(), version: "1".into(), digest: ModuleDigest([7; 32]), size: 300, manifest };
    let quotas = Quotas { rows: Some(300), concurrent_requests: Some(7), ..Quotas::default() };
    let project =
        Project { name: "team".into(), description: "a team".into(), regions: vec![version().region], quotas };
    let affiliation = Affiliation { cluster: ClusterId(77), succeeds: Some(Incarnation(5)), healed: true };
    let changes = [
        CatalogueChange::PutView(view()),
        CatalogueChange::PutModule(release),
        CatalogueChange::DropModule("m".into()),
        CatalogueChange::PutService(service()),
        CatalogueChange::DropService("delays".into()),
        CatalogueChange::PutPushSource(push_source()),
        CatalogueChange::DropPushSource("route_push".into()),
        CatalogueChange::NumberedBelow(4),
        CatalogueChange::DefineView(Box::new(ViewDefinition { view: view(), details })),
        CatalogueChange::DefineService(Box::new(ServiceDefinition { service: service(), about: about() })),
        CatalogueChange::DefinePushSource(Box::new(PushSourceDefinition {
            push_source: push_source(),
            about: about(),
        })),
        CatalogueChange::PutProject(Box::new(project)),
        CatalogueChange::DropProject("team".into()),
        CatalogueChange::Restrict(vec![(ViewId(3), vec![version().region])]),
    ];
    let changes = changes.into_iter().map(|change| Payload::Catalogue(Box::new(change)));
    let mut block = Vec::new();
    for payload in changes.chain([Payload::Belongs(affiliation), Payload::Withheld]) {
        records::push(&mut block, &record(payload)).unwrap();
    }
    block.into()
}

/// Returns messages of a publisher that speaks this version.
pub fn downstreams(spoken: u16) -> Vec<Downstream> {
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
        version: spoken,
        region: version().region,
        epoch: Epoch(2),
        head: at(300),
        mode: Mode::Snapshot,
        rehomed: Some(Resume { position: at(200), chain: ChainHash(3) }),
        watermark: Watermark::at(version().region, Incarnation(0x0102_0304), Lsn(300)),
        heartbeat_ms: 100,
        lineages: lives(),
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
            lineages: lives(),
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
        Downstream::Records { first: Lsn(297), last: Lsn(300), chain_after: ChainHash(5), bytes: definitions() },
        Downstream::Error { code: ErrorCode::Behind, message: "a follower".into() },
    ]
}
