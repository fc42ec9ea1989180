//! A leader in memory, and helpers.

#![allow(dead_code, reason = "each test file uses some of it")]

use bytes::Bytes;
use littoral_feed::source::{AntiEntropy, FeedLog, RegionPeer, SourceRole};
use littoral_feed::{client, server};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    cluster::Affiliation,
    digest::{BucketRows, Checkpoints},
    entity_key::KeyBatch,
    event_time::EventTime,
    hlc::Hlc,
    lineage::RegionLineages,
    merge::MergePolicy,
    module::{ModuleDigest, ModuleManifest},
    ports::*,
    position::*,
    project::Receiver,
    read::*,
    record::*,
    region::Region,
    row::*,
    status::{NodeStatus, Role},
    tail::TailPiece,
    token::Watermark,
    value::ValueType,
    version::Version,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::*,
};
use littoral_protocol::frame::*;
use littoral_wire::records;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

pub struct Leader {
    log: Mutex<Log>,
    head: watch::Sender<Position>,
    /// While true, reads wait.
    pub hold: watch::Sender<bool>,
    /// How many reads have begun.
    pub reads: watch::Sender<usize>,
    pub component: Bytes,
    /// The record after which replicas of other regions' logs continue here; zero if they take a snapshot.
    pub rehomes_after: AtomicU64,
    pub relay: Option<Relay>,
}

/// What a relay has of the log that it follows.
pub struct Relay {
    pub held_in: Receiver,
    /// The catalogue that it has applied.
    pub catalogue: Mutex<Option<Arc<Catalogue>>>,
    pub generation: AtomicU64,
    /// The catalogue of the replica that replaces the one from which records are read, after they were read.
    pub replaced_by: Mutex<Option<Option<Arc<Catalogue>>>>,
}

#[derive(Default)]
struct Log {
    entries: Vec<(Lsn, Vec<u8>, ChainHash)>,
    last: (Lsn, ChainHash),
    oldest: u64,
    rows: HashMap<(ViewId, Vec<u8>), Row>,
    catalogue: Catalogue,
}

pub fn region() -> Region {
    "eu".parse().unwrap()
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
    /// Creates a leader with views `a` (ID 1) and `b` (ID 2), created by records 1 and 2.
    pub fn new() -> Arc<Self> {
        Self::with(None)
    }

    /// Creates a relay in this region, with the records of [`Leader::new`]. A test sets what it has applied.
    pub fn relay(held_in: Receiver) -> Arc<Self> {
        Self::with(Some(Relay {
            held_in,
            catalogue: Mutex::default(),
            generation: AtomicU64::new(1),
            replaced_by: Mutex::default(),
        }))
    }

    fn with(relay: Option<Relay>) -> Arc<Self> {
        let (head, _) = watch::channel(Position { incarnation: Incarnation(7), lsn: Lsn::NONE });
        let leader = Arc::new(Self {
            log: Mutex::new(Log { oldest: 1, ..Log::default() }),
            head,
            hold: watch::Sender::default(),
            reads: watch::Sender::default(),
            component: Bytes::from_static(b"\0asm component"),
            rehomes_after: AtomicU64::new(0),
            relay,
        });
        leader.make_view("a");
        leader.make_view("b");
        leader
    }

    pub fn make_view(&self, name: &str) {
        let change = self.log.lock().catalogue.prepare(CatalogueChange::PutView(view(name))).unwrap().unwrap();
        self.append(Payload::Catalogue(Box::new(change)));
    }

    pub fn put(&self, view: u32, key: u64) {
        let event_time = EventTime(1);
        self.append(Payload::Row { view: ViewId(view), event_time, key: &key.to_le_bytes(), body: &[7; 100] });
    }

    pub fn append(&self, payload: Payload<'_>) {
        let lsn = self.append_past_head(payload);
        self.head.send_modify(|head| head.lsn = lsn);
    }

    /// Appends a record that can be read before the head shows it.
    pub fn append_past_head(&self, payload: Payload<'_>) -> Lsn {
        let mut log = self.log.lock();
        let lsn = log.last.0.next();
        let mut record = Record {
            lsn,
            epoch: Epoch::FIRST,
            origin: region(),
            origin_lsn: lsn,
            hlc: Hlc(lsn.0),
            chain: ChainHash::GENESIS,
            payload,
        };
        record.chain = record.chain_after(log.last.1);
        let mut bytes = Vec::new();
        records::push(&mut bytes, &record).unwrap();
        match &record.payload {
            Payload::Row { view, event_time, key, body } => {
                let meta = RowMeta { view: *view, event_time: *event_time, version: record.version(), lsn };
                log.rows.insert((*view, key.to_vec()), Row::new(meta, key, Some(body)));
            }
            Payload::Catalogue(change) => log.catalogue.apply(change),
            _ => {}
        }
        log.last = (lsn, record.chain);
        log.entries.push((lsn, bytes, record.chain));
        lsn
    }

    pub fn trim(&self, oldest: u64) {
        let mut log = self.log.lock();
        log.entries.retain(|(lsn, ..)| lsn.0 >= oldest);
        log.oldest = oldest;
    }

    /// Waits until this many reads have begun.
    pub async fn began(&self, reads: usize) {
        let _ = self.reads.subscribe().wait_for(|begun| *begun >= reads).await;
    }

    pub fn last(&self) -> Resume {
        let (lsn, chain) = self.log.lock().last;
        Resume { position: Position { incarnation: Incarnation(7), lsn }, chain }
    }

    pub fn resume_at(&self, lsn: u64) -> Resume {
        let chain = self.chain_at(Lsn(lsn)).unwrap();
        Resume { position: Position { incarnation: Incarnation(7), lsn: Lsn(lsn) }, chain }
    }
}

impl FeatureReader for Leader {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::new(self.log.lock().catalogue.clone())
    }

    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        if *self.hold.borrow() {
            return false;
        }
        let log = self.log.lock();
        answer.rows = (request.reads.iter())
            .map(|read| read.keys.iter().map(|key| log.rows.get(&(read.view, key.to_vec())).cloned()).collect())
            .collect();
        answer.freshness.position = Position { incarnation: Incarnation(7), lsn: log.last.0 };
        answer.freshness.watermark = Watermark::at(region(), Incarnation(7), log.last.0);
        true
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            self.reads.send_modify(|reads| *reads += 1);
            let _ = self.hold.subscribe().wait_for(|held| !held).await;
            let mut answer = ReadAnswer::default();
            self.read_local(request, &mut answer);
            Ok(answer)
        })
    }
}

impl FeatureWriter for Leader {
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let Some(first) = request.rows.iter().next() else {
                return Err(WriteError::UnknownView("nothing".into()));
            };
            self.append(Payload::Row {
                view: first.view,
                event_time: first.event_time,
                key: first.key,
                body: first.body.unwrap_or_default(),
            });
            Ok(self.receipt())
        })
    }

    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let change = self.log.lock().catalogue.prepare(change)?;
            if let Some(change) = change {
                self.append(Payload::Catalogue(Box::new(change)));
            }
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

impl Leader {
    fn receipt(&self) -> WriteReceipt {
        let position = *self.head.borrow();
        WriteReceipt {
            first: position.lsn,
            position,
            token: Watermark::at(region(), position.incarnation, position.lsn),
            concern: WriteConcern::Local,
            duplicate: false,
            outranked: littoral_model::outranked::Outranked::default(),
        }
    }
}

impl Node for Leader {
    fn held_in(&self) -> Receiver {
        self.relay.as_ref().map_or(Receiver::In(region()), |relay| relay.held_in)
    }

    fn status(&self) -> NodeStatus {
        let position = *self.head.borrow();
        NodeStatus {
            name: "fake".into(),
            role: Role::Leader,
            region: region(),
            ready: true,
            not_ready_reason: String::new(),
            degraded: None,
            epoch: Epoch::FIRST,
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
    fn region(&self) -> Region {
        region()
    }

    fn epoch(&self) -> Epoch {
        Epoch::FIRST
    }

    fn source_role(&self) -> SourceRole {
        match self.relay {
            Some(_) => SourceRole::Relay { behind: Some(Duration::ZERO), leader_lost: false },
            None => SourceRole::Leader,
        }
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn acknowledged(&self) -> Position {
        *self.head().borrow()
    }

    fn generation(&self) -> u64 {
        self.relay.as_ref().map_or(0, |relay| relay.generation.load(SeqCst))
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.log.lock().entries.iter().find(|(at, ..)| *at == lsn).map(|(_, _, chain)| *chain)
    }

    fn applied_catalogue(&self) -> Option<Arc<Catalogue>> {
        self.relay.as_ref().map_or_else(|| Some(self.catalogue()), |relay| relay.catalogue.lock().clone())
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(async move {
            let log = self.log.lock();
            if from.0 < log.oldest {
                return Err(FeedReadError::Trimmed { from, oldest: Lsn(log.oldest) });
            }
            let (mut bytes, mut last) = (Vec::new(), from);
            for (lsn, entry, _) in log.entries.iter().skip((from.0 - log.oldest) as usize) {
                bytes.extend_from_slice(entry);
                last = *lsn;
                if bytes.len() >= bytes_max {
                    break;
                }
            }
            if let Some(relay) = &self.relay
                && let Some(next) = relay.replaced_by.lock().take()
            {
                *relay.catalogue.lock() = next;
                relay.generation.fetch_add(1, SeqCst);
            }
            Ok(RecordBlock { first: from, last, bytes: bytes.into() })
        })
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        let log = self.log.lock();
        let rows: Vec<Row> = log.rows.values().cloned().collect();
        let chunks: Vec<Vec<Row>> = rows.chunks(1_000).map(<[Row]>::to_vec).collect();
        Ok(SnapshotSource {
            as_of: *self.head.borrow(),
            chain: log.last.1,
            watermark: Watermark::default(),
            lineages: RegionLineages::default(),
            mixed: false,
            catalogue: Arc::new(log.catalogue.clone()),
            rows_estimate: rows.len() as u64,
            chunks: Box::new(chunks.into_iter()),
        })
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move { (ModuleDigest::of(&self.component) == digest).then(|| self.component.clone()) })
    }

    fn serves_through(&self, _: u64, _: Option<Lsn>) {}
}

impl AntiEntropy for Leader {
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        watch::channel(Checkpoints::default()).1
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(std::future::ready(Err(ReadError::LeaderUnavailable("this source takes no checkpoints".to_owned()))))
    }

    fn bucket(&self, _: ViewId, _: u8, _: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(std::future::ready(Err(ReadError::LeaderUnavailable("this source serves no buckets".to_owned()))))
    }
}

impl RegionPeer for Leader {
    fn watermark(&self) -> Watermark {
        self.status().watermark
    }

    fn lineages(&self) -> RegionLineages {
        RegionLineages::default()
    }

    fn configured(&self) -> Vec<Region> {
        Vec::new()
    }

    fn belongs(&self) -> Option<Affiliation> {
        self.lineages().belongs()
    }

    fn resume_point(&self, _: &Watermark, _: &RegionLineages) -> Option<Lsn> {
        Some(Lsn(self.rehomes_after.load(SeqCst))).filter(|lsn| *lsn > Lsn::NONE)
    }

    fn held(&self, _: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        Err(ReadError::LeaderUnavailable("this node is not the leader of a region".to_owned()))
    }

    fn shown_ahead(&self) {}

    fn lost_to(&self, _: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn taken_by(&self, _: Region, _: Position) {}

    fn merge(&self, _: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(std::future::ready(Err(WriteError::NotLeader("this source merges no detached tails".to_owned()))))
    }
}

/// A generous bound for things that should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A leader with a running server.
pub struct Served {
    pub leader: Arc<Leader>,
    pub address: String,
    pub shutdown: CancellationToken,
    pub task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub async fn serve(config: server::Config) -> Served {
    serve_leader(Leader::new(), config).await
}

pub async fn serve_leader(leader: Arc<Leader>, config: server::Config) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server::serve(listener, leader.clone(), config, shutdown.clone()));
    Served { leader, address, shutdown, task }
}

impl Served {
    pub fn client(&self) -> client::Config {
        client_of(&self.address)
    }

    pub async fn connect(&self) -> client::Connection {
        connect(&self.address).await
    }
}

fn client_of(address: &str) -> client::Config {
    client::Config { leader: vec![address.to_owned()], ..client::Config::default() }
}

pub async fn connect(address: &str) -> client::Connection {
    client::connect(&client_of(address)).await.unwrap()
}

pub fn hello(views: Views, resume: Option<Resume>) -> Upstream {
    Upstream::Hello(SubscriberHello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        subscriber: "test".into(),
        views,
        resume,
        holds: None,
        ended: None,
        watermark: Watermark::default(),
        lineages: RegionLineages::default(),
        cluster: None,
    })
}

/// Returns the next message that is not a heartbeat.
pub async fn next(receiver: &mut client::FeedReceiver) -> Downstream {
    loop {
        match receiver.next().await.unwrap().expect("the stream ended") {
            Downstream::Heartbeat { .. } => {}
            message => return message,
        }
    }
}

/// Returns the next message, which must be a hello.
pub async fn next_hello(receiver: &mut client::FeedReceiver) -> PublisherHello {
    match next(receiver).await {
        Downstream::Hello(hello) => hello,
        other => panic!("{other:?}"),
    }
}

/// Receives records until `last` is covered. Returns their keys or kinds, in order.
pub async fn records_through(receiver: &mut client::FeedReceiver, mut expected: u64, last: u64) -> Vec<Lsn> {
    let mut lsns = Vec::new();
    while expected <= last {
        match next(receiver).await {
            Downstream::Records { first, last, bytes, .. } => {
                assert_eq!(first.0, expected, "records must be covered densely");
                lsns.extend(records::iter(&bytes).map(|record| record.unwrap().lsn));
                expected = last.0 + 1;
            }
            other => panic!("{other:?}"),
        }
    }
    lsns
}

pub fn keys(view: u32, keys: impl IntoIterator<Item = u64>) -> Vec<ViewRead> {
    let mut batch = KeyBatch::default();
    keys.into_iter().for_each(|key| batch.push(&key.to_le_bytes()));
    vec![ViewRead { view: ViewId(view), keys: batch }]
}

pub fn version(lsn: u64) -> Version {
    Version { hlc: Hlc(lsn), region: region() }
}

/// A proxy to a server that a test can cut.
pub struct Proxy {
    pub address: String,
    pub task: tokio::task::JoinHandle<()>,
}

/// Forwards one connection until its task is aborted.
pub async fn cut_off_able(server: &str) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    Proxy { address, task }
}
