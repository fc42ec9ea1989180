//! A leader on a disk in memory, and shorthands for requests.

#![allow(dead_code, reason = "each test file uses a part")]

use bytes::Bytes;
use littoral_leader::{Config, Environment, Handle, StartError};
use littoral_log::storage::Memory;
use littoral_model::{
    catalogue::CatalogueChange,
    entity_key::KeyBatch,
    event_time::EventTime,
    merge::MergePolicy,
    module::{Field, ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModuleCall, ModuleError, ModuleRuntime},
    read::{ReadAnswer, ReadRequest, ViewRead},
    row::Row,
    row_body::BodyBuilder,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::{RowBatch, RowWrite, WriteError, WriteReceipt, WriteRequest},
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio_util::sync::CancellationToken;

/// The tests' clock, in milliseconds since 1970.
pub const NOW_MS: u64 = 1_800_000_000_000;

static STARTED: AtomicU64 = AtomicU64::new(42);

/// A sandbox that accepts every component that does not begin with `bad`.
#[derive(Debug, Default)]
pub struct Modules {
    pub ready: Mutex<HashSet<ModuleDigest>>,
}

impl ModuleRuntime for Modules {
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async move {
            if component.starts_with(b"bad") {
                return Err(ModuleError::Rejected("it is bad".to_owned()));
            }
            let outputs = vec![Field { name: "score".to_owned(), value_type: ValueType::Double }];
            Ok(ModuleManifest { outputs, ..ModuleManifest::default() })
        })
    }

    fn prepare(&self, digest: ModuleDigest, component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>> {
        Box::pin(async move {
            assert_eq!(ModuleDigest::of(&component), digest);
            self.ready.lock().unwrap().insert(digest);
            Ok(())
        })
    }

    fn is_ready(&self, digest: ModuleDigest) -> bool {
        self.ready.lock().unwrap().contains(&digest)
    }

    fn transform<'a>(&'a self, _: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>> {
        Box::pin(async { Ok(Vec::new().into()) })
    }

    fn retire(&self, digest: ModuleDigest) {
        self.ready.lock().unwrap().remove(&digest);
    }
}

/// A running leader, its disks and its clock.
pub struct Running {
    pub leader: Handle,
    pub disk: Memory,
    pub components: Memory,
    pub modules: Arc<Modules>,
    pub clock: Arc<AtomicU64>,
    stop: CancellationToken,
}

pub fn config() -> Config {
    Config { region: "eu".parse().unwrap(), segment_bytes: 64 << 10, shards: 4, ..Config::default() }
}

pub async fn try_start(config: Config, disk: Memory, components: Memory) -> Result<Running, StartError> {
    let stop = CancellationToken::new();
    let modules = Arc::new(Modules::default());
    let clock = Arc::new(AtomicU64::new(NOW_MS));
    let reading = clock.clone();
    let environment = Environment {
        storage: Arc::new(disk.clone()),
        modules: Arc::new(components.clone()),
        clock: Arc::new(move || reading.load(Relaxed)),
        // Each log gets its own life.
        entropy: STARTED.fetch_add(1, Relaxed),
        progress: Arc::default(),
        tls: None,
    };
    let leader = littoral_leader::start_on(environment, config, modules.clone(), stop.clone()).await?;
    Ok(Running { leader, disk, components, modules, clock, stop })
}

pub async fn start(config: Config) -> Running {
    try_start(config, Memory::new(), Memory::new()).await.unwrap()
}

impl Running {
    /// Stops, loses power, and starts again on the part of the disk that survives, which depends on the seed.
    pub async fn after_power_loss(self, config: Config, seed: u64) -> Running {
        let (disk, components) = (self.disk.crash(seed), self.components.crash(seed));
        self.stop().await;
        try_start(config, disk, components).await.unwrap()
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.leader.stopped().await;
    }

    pub async fn view(&self, name: &str) -> ViewId {
        // A queue of two may be full of the leader's own first records.
        while let Err(error) = self.leader.change(CatalogueChange::PutView(view(name))).await {
            assert_eq!(error, WriteError::Overloaded);
            tokio::task::yield_now().await;
        }
        self.leader.catalogue().view(name).unwrap().id
    }

    pub async fn put(&self, view: ViewId, key: i64, value: i64, event_ms: i64) -> Result<WriteReceipt, WriteError> {
        self.leader.write(write(view, &[(key, Some(value))], event_ms)).await
    }

    pub fn get(&self, view: ViewId, key: i64) -> Option<i64> {
        let request = read(view, &[key]);
        let mut answer = ReadAnswer::default();
        assert!(self.leader.read_local(&request, &mut answer));
        answer.rows[0][0].as_ref().map(value)
    }
}

pub fn value(row: &Row) -> i64 {
    match row.value(0, ValueType::Int64) {
        littoral_model::row_body::ValueRef::Int64(value) => value,
        other => panic!("{other:?}"),
    }
}

pub fn view(name: &str) -> FeatureView {
    FeatureView {
        id: ViewId(0),
        name: name.to_owned(),
        join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
        features: vec![Feature { name: "f".into(), value_type: ValueType::Int64 }],
        ttl_ms: None,
        merge: MergePolicy::LatestEvent,
    }
}

pub fn body(value: i64) -> Vec<u8> {
    let mut body = BodyBuilder::new(1);
    body.push_i64(value);
    body.finish().unwrap()
}

pub fn write(view: ViewId, rows: &[(i64, Option<i64>)], event_ms: i64) -> WriteRequest {
    let mut batch = RowBatch::default();
    for (key, value) in rows {
        let body = value.map(body);
        let event_time = EventTime::from_ms(event_ms);
        batch.push(RowWrite { view, event_time, key: &key.to_le_bytes(), body: body.as_deref() });
    }
    WriteRequest { rows: batch, ..WriteRequest::default() }
}

pub fn with_key(mut request: WriteRequest, key: &str) -> WriteRequest {
    request.idempotency_key = Some(key.to_owned());
    request
}

pub fn read(view: ViewId, keys: &[i64]) -> ReadRequest {
    let mut batch = KeyBatch::default();
    keys.iter().for_each(|key| batch.push(&key.to_le_bytes()));
    ReadRequest { reads: vec![ViewRead { view, keys: batch }], ..ReadRequest::default() }
}
