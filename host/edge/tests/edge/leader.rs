//! An in-memory leader.

use bytes::Bytes;
use littoral_feed::source::{AntiEntropy, FeedLog, RegionPeer, SourceRole};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    cluster::Affiliation,
    digest::{BucketRows, Checkpoint, Checkpoints, Digest, ViewDigest},
    event_time::EventTime,
    freshness::{Consistency, Freshness, Source},
    hlc::Hlc,
    lineage::{Lineage, RegionLineages, Start},
    merge::MergePolicy,
    module::{ModuleDigest, ModuleManifest, ModuleRelease},
    ports::*,
    position::*,
    read::*,
    record::*,
    region::Region,
    row::*,
    row_body::BodyBuilder,
    status::{NodeStatus, Role},
    tail::TailPiece,
    token::Watermark,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::*,
};
use littoral_replica::{Held, Mode, Table};
use littoral_wire::records;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};
use tokio::sync::watch;

pub struct Leader {
    log: Mutex<Log>,
    head: watch::Sender<Position>,
    epoch: Epoch,
    /// The keys that were read here.
    pub keys_read: AtomicU64,
    pub snapshots: AtomicU64,
    /// While true, reads are executed but not answered.
    pub hold: watch::Sender<bool>,
    /// The regions that answer a quorum read of two.
    pub quorum: Mutex<Vec<Region>>,
    component: Mutex<Option<Bytes>>,
    checkpoints: watch::Sender<Checkpoints>,
    /// The log's affiliation.
    pub belongs: Mutex<Option<Affiliation>>,
    /// The lineage of the log, once it has more than its first life.
    lineages: Mutex<RegionLineages>,
    /// Milliseconds by which the clock is ahead of the number of records.
    pub clock: AtomicU64,
    /// While true, records are in the rows but not published.
    pub lags: AtomicBool,
    /// While true, requests for snapshots are rejected.
    pub no_snapshots: AtomicBool,
    /// The accepted pieces of detached tails, by name.
    pub pieces: Mutex<Vec<String>>,
}

struct Log {
    entries: Vec<(Vec<u8>, ChainHash)>,
    oldest: u64,
    chain: ChainHash,
    table: Arc<Table>,
    catalogue: Catalogue,
}

impl Log {
    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        if lsn.0.checked_add(1)? == self.oldest && self.entries.is_empty() {
            return Some(self.chain);
        }
        self.entries.get(usize::try_from(lsn.0.checked_sub(self.oldest)?).ok()?).map(|(_, chain)| *chain)
    }
}

pub fn region() -> Region {
    "east".parse().unwrap()
}

pub fn body(value: i64) -> Vec<u8> {
    let mut body = BodyBuilder::new(1);
    body.push_i64(value);
    body.finish().unwrap()
}

pub fn view(name: &str) -> FeatureView {
    FeatureView {
        id: ViewId(0),
        name: name.to_owned(),
        join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
        features: vec![Feature { name: "f".into(), value_type: ValueType::Int64 }],
        ttl_ms: None,
        merge: MergePolicy::default(),
    }
}

impl Leader {
    /// Creates a leader with views `a` (ID 1) and `b` (ID 2).
    pub fn new(incarnation: u64) -> Arc<Self> {
        Self::with_epoch(incarnation, 1)
    }

    pub fn with_epoch(incarnation: u64, epoch: u64) -> Arc<Self> {
        let (head, _) = watch::channel(Position { incarnation: Incarnation(incarnation), lsn: Lsn::NONE });
        let log = Log {
            entries: Vec::new(),
            oldest: 1,
            chain: ChainHash::GENESIS,
            table: Arc::new(Table::new(littoral_replica::Config::default())),
            catalogue: Catalogue::default(),
        };
        let leader = Arc::new(Self {
            log: Mutex::new(log),
            head,
            epoch: Epoch(epoch),
            keys_read: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
            hold: watch::channel(false).0,
            quorum: Mutex::default(),
            component: Mutex::default(),
            checkpoints: watch::Sender::default(),
            belongs: Mutex::new(Some(Affiliation::founder(Incarnation(incarnation)))),
            lineages: Mutex::default(),
            clock: AtomicU64::new(1_000),
            lags: AtomicBool::new(false),
            no_snapshots: AtomicBool::new(false),
            pieces: Mutex::default(),
        });
        for name in ["a", "b"] {
            leader.take(CatalogueChange::PutView(view(name)));
        }
        leader
    }

    pub fn take(&self, change: CatalogueChange) -> Watermark {
        let change = self.log.lock().catalogue.prepare(change).unwrap().expect("changes something");
        self.append(Payload::Catalogue(Box::new(change)))
    }

    pub fn put(&self, view: u32, key: u64, value: i64) -> Watermark {
        self.put_at(view, key, value, 1)
    }

    pub fn put_at(&self, view: u32, key: u64, value: i64, event_time: i64) -> Watermark {
        let event_time = EventTime(event_time);
        self.append(Payload::Row { view: ViewId(view), event_time, key: &key.to_le_bytes(), body: &body(value) })
    }

    pub fn delete(&self, view: u32, key: u64) -> Watermark {
        self.append(Payload::Tombstone { view: ViewId(view), event_time: EventTime(1), key: &key.to_le_bytes() })
    }

    /// Begins another life of the log, as when it is opened.
    pub fn begin(&self, life: u64) {
        let Position { incarnation: after, lsn: shared } = *self.head.borrow();
        let (life, first) = (Incarnation(life), shared.next());
        self.lineages.lock().entry(region(), after).begin(Start { life, first, after, shared });
        self.append(Payload::Begin { life, after, shared });
        self.head.send_modify(|head| head.incarnation = life);
    }

    pub fn append(&self, payload: Payload<'_>) -> Watermark {
        self.append_at(None, payload)
    }

    /// Appends a record, with an old clock reading if one is given.
    fn append_at(&self, hlc: Option<Hlc>, payload: Payload<'_>) -> Watermark {
        let mut log = self.log.lock();
        let lsn = Lsn(log.oldest + log.entries.len() as u64);
        let mut record = Record {
            lsn,
            epoch: self.epoch,
            origin: region(),
            origin_lsn: lsn,
            hlc: hlc.unwrap_or_else(|| Hlc::new(self.clock.load(SeqCst) + lsn.0, 0)),
            chain: ChainHash::GENESIS,
            payload,
        };
        record.chain = record.chain_after(log.chain);
        let mut bytes = Vec::new();
        records::push(&mut bytes, &record).unwrap();
        match &record.payload {
            Payload::Row { view, event_time, key, body } => {
                let meta = RowMeta { view: *view, event_time: *event_time, version: record.version(), lsn };
                log.table.apply(Row::new(meta, key, Some(body)), MergePolicy::LatestEvent, Mode::InsertAll);
            }
            Payload::Tombstone { view, event_time, key } => {
                let meta = RowMeta { view: *view, event_time: *event_time, version: record.version(), lsn };
                log.table.apply(Row::new(meta, key, None), MergePolicy::LatestEvent, Mode::InsertAll);
            }
            Payload::Catalogue(change) => log.catalogue.apply(change),
            Payload::Belongs(_)
            | Payload::Receipt { .. }
            | Payload::BeginUnnamed
            | Payload::Begin { .. }
            | Payload::Through { .. }
            | Payload::Withheld => {}
            Payload::Collect { before } => {
                log.table.collect_tombstones(*before);
            }
        }
        log.chain = record.chain;
        log.entries.push((bytes, record.chain));
        if !self.lags.load(SeqCst) {
            self.head.send_modify(|head| head.lsn = lsn);
        }
        drop(log);
        self.token()
    }

    /// Sends edges the digests as of the last record.
    pub fn take_checkpoint(&self) -> Lsn {
        let log = self.log.lock();
        let lsn = self.head.borrow().lsn;
        let mut views = log.table.digests();
        let empty = |view| ViewDigest { view, rows: 0, digest: Digest::default() };
        let missing: Vec<_> =
            log.catalogue.views().map(|view| view.id).filter(|id| views.iter().all(|view| view.view != *id)).collect();
        views.extend(missing.into_iter().map(empty));
        self.checkpoints.send_modify(|kept| kept.push(Checkpoint { lsn, at: Hlc::new(1_000, 0), views }));
        lsn
    }

    /// Removes every tombstone through a record.
    pub fn collect_tombstones(&self) {
        let last = self.head.borrow().lsn.0;
        self.append(Payload::Collect { before: Hlc::new(1_000 + last + 1, 0) });
    }

    /// Corrupts the log from here on: keeps the last record's bytes, but not its chain hash.
    pub fn break_chain(&self) {
        self.log.lock().chain.0 ^= 1;
    }

    pub fn trim_all(&self) {
        let mut log = self.log.lock();
        log.oldest += log.entries.len() as u64;
        log.entries.clear();
    }

    pub fn token(&self) -> Watermark {
        let position = *self.head.borrow();
        Watermark::at(region(), position.incarnation, position.lsn)
    }

    pub fn release(&self, name: &str, version: &str, component: &'static [u8]) {
        let component = Bytes::from_static(component);
        let digest = ModuleDigest::of(&component);
        let size = component.len() as u64;
        *self.component.lock() = Some(component);
        let output = littoral_model::module::Field { name: "out".into(), value_type: ValueType::Double };
        let manifest = ModuleManifest { outputs: vec![output], ..ModuleManifest::default() };
        let release = ModuleRelease { name: name.into(), version: version.into(), digest, size, manifest };
        self.take(CatalogueChange::PutModule(release));
    }

    fn answer(&self, request: &ReadRequest) -> ReadAnswer {
        let log = self.log.lock();
        let position = *self.head.borrow();
        let rows = (request.reads.iter())
            .map(|read| {
                self.keys_read.fetch_add(read.keys.len() as u64, SeqCst);
                read.keys
                    .iter()
                    .map(|key| match log.table.get(read.view, key) {
                        Held::Row(row) => Some(row),
                        Held::Absent | Held::Unknown => None,
                    })
                    .collect()
            })
            .collect();
        let watermark = Watermark::at(region(), position.incarnation, position.lsn);
        let freshness = Freshness { position, watermark, ..Freshness::default() };
        ReadAnswer { rows, freshness, ..ReadAnswer::default() }
    }

    fn receipt(&self) -> WriteReceipt {
        let position = *self.head.borrow();
        WriteReceipt {
            first: position.lsn,
            position,
            token: self.token(),
            concern: WriteConcern::Local,
            duplicate: false,
            outranked: littoral_model::outranked::Outranked::default(),
        }
    }
}

impl FeatureReader for Leader {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::new(self.log.lock().catalogue.clone())
    }

    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }

    fn read_local(&self, _: &ReadRequest, _: &mut ReadAnswer) -> bool {
        false
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            let mut answer = self.answer(request);
            if request.demand.consistency == Consistency::Quorum {
                let answered = self.quorum.lock().clone();
                if answered.len() < 2 {
                    let missing = "'west': it is disconnected".to_owned();
                    return Err(ReadError::QuorumNotReached { needed: 2, of: 2, answered, missing });
                }
                (answer.freshness.source, answer.freshness.regions) = (Source::Quorum, answered);
            }
            let mut hold = self.hold.subscribe();
            let _ = hold.wait_for(|held| !held).await;
            Ok(answer)
        })
    }
}

impl FeatureWriter for Leader {
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            for row in request.rows.iter() {
                let (view, event_time, key) = (row.view, row.event_time, row.key);
                self.append(match row.body {
                    Some(body) => Payload::Row { view, event_time, key, body },
                    None => Payload::Tombstone { view, event_time, key },
                });
            }
            Ok(self.receipt())
        })
    }

    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            self.take(change);
            Ok(self.receipt())
        })
    }

    fn put_module(&self, _: String, _: String, component: Bytes) -> BoxFuture<'_, Result<ModulePut, WriteError>> {
        Box::pin(async move {
            let digest = ModuleDigest::of(&component);
            Ok(ModulePut { digest, manifest: ModuleManifest::default(), receipt: self.receipt() })
        })
    }
}

impl Node for Leader {
    fn status(&self) -> NodeStatus {
        let position = *self.head.borrow();
        NodeStatus {
            name: "leader".into(),
            role: Role::Leader,
            region: region(),
            ready: true,
            not_ready_reason: String::new(),
            degraded: None,
            epoch: self.epoch,
            position,
            head: position,
            staleness_ms: Some(0),
            writable: true,
            watermark: Watermark::default(),
            lineages: littoral_model::lineage::RegionLineages::default(),
            regions: Vec::new(),
            views: Vec::new(),
            modules: Vec::new(),
            gauges: std::collections::BTreeMap::default(),
        }
    }
}

impl FeedLog for Leader {
    fn applied_catalogue(&self) -> Option<Arc<Catalogue>> {
        Some(self.catalogue())
    }

    fn region(&self) -> Region {
        region()
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn source_role(&self) -> SourceRole {
        SourceRole::Leader
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn acknowledged(&self) -> Position {
        *self.head().borrow()
    }

    fn generation(&self) -> u64 {
        0
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.log.lock().chain_at(lsn)
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(async move {
            let log = self.log.lock();
            if from.0 < log.oldest {
                return Err(FeedReadError::Trimmed { from, oldest: Lsn(log.oldest) });
            }
            let (mut bytes, mut last) = (Vec::new(), from.0 - 1);
            for (entry, _) in log.entries.iter().skip((from.0 - log.oldest) as usize) {
                bytes.extend_from_slice(entry);
                last += 1;
                if bytes.len() >= bytes_max {
                    break;
                }
            }
            Ok(RecordBlock { first: from, last: Lsn(last), bytes: bytes.into() })
        })
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        self.snapshots.fetch_add(1, SeqCst);
        if self.no_snapshots.load(SeqCst) {
            return Err(FeedReadError::NotHeld("as the test wants".to_owned()));
        }
        let log = self.log.lock();
        Ok(SnapshotSource {
            as_of: *self.head.borrow(),
            // Rows may be newer.
            chain: log.chain_at(self.head.borrow().lsn).unwrap_or_default(),
            watermark: Watermark::default(),
            lineages: self.lineages.lock().clone(),
            mixed: false,
            catalogue: Arc::new(log.catalogue.clone()),
            rows_estimate: log.table.len() as u64,
            chunks: Box::new(log.table.chunks(1_000)),
        })
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        let component = self.component.lock().clone();
        Box::pin(async move { component.filter(|component| ModuleDigest::of(component) == digest) })
    }

    fn serves_through(&self, _: u64, _: Option<Lsn>) {}
}

impl AntiEntropy for Leader {
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.checkpoints.subscribe()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(async { Ok(self.take_checkpoint()) })
    }

    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move {
            let log = self.log.lock();
            let as_of = *self.head.borrow();
            // Small chunks, so that there are several.
            let (rows, more) = log.table.bucket(view, bucket, after.as_deref(), 300);
            Ok(BucketRows { as_of, rows, more })
        })
    }
}

impl RegionPeer for Leader {
    fn watermark(&self) -> Watermark {
        self.status().watermark
    }

    fn lineages(&self) -> RegionLineages {
        self.lineages.lock().clone()
    }

    fn configured(&self) -> Vec<Region> {
        vec![region()]
    }

    fn belongs(&self) -> Option<Affiliation> {
        *self.belongs.lock()
    }

    fn resume_point(&self, _: &Watermark, _: &RegionLineages) -> Option<Lsn> {
        None
    }

    fn held(&self, _: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        Err(ReadError::LeaderUnavailable("this node is not the leader of a region".to_owned()))
    }

    fn shown_ahead(&self) {}

    fn lost_to(&self, _: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn taken_by(&self, _: Region, _: Position) {}

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let log = self.lineages.lock().get(region()).map_or(self.head.borrow().incarnation, Lineage::log);
            piece.check(region(), log, &self.catalogue())?;
            let mut pieces = self.pieces.lock();
            if !pieces.contains(&piece.name) {
                pieces.push(piece.name);
                for record in records::iter(&piece.records) {
                    let record = record.unwrap();
                    assert_eq!(record.origin, region());
                    self.append_at(Some(record.hlc), record.payload);
                }
            }
            Ok(self.receipt())
        })
    }
}
