//! Helpers: start leaders and edges, and read from them.

use bytes::Bytes;
use littoral_edge::{Config, Handle, ViewMode};
use littoral_feed::server;
use littoral_feed::source::FeedSource;
use littoral_model::{
    entity_key::KeyBatch,
    freshness::ReadDemand,
    module::{ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    ports::*,
    read::{ReadAnswer, ReadRequest, ViewRead},
    token::Watermark,
    value::ValueType,
    view::ViewId,
};
use parking_lot::Mutex;
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A sandbox that runs nothing.
#[derive(Default)]
pub struct Runtime {
    ready: Mutex<BTreeSet<ModuleDigest>>,
    /// Components with this content are rejected.
    pub refused: Mutex<Option<Bytes>>,
}

impl ModuleRuntime for Runtime {
    fn inspect(&self, _: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async { Ok(ModuleManifest::default()) })
    }

    fn prepare(&self, digest: ModuleDigest, component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>> {
        Box::pin(async move {
            if self.refused.lock().as_ref() == Some(&component) {
                return Err(ModuleError::Rejected("as the test wants".into()));
            }
            self.ready.lock().insert(digest);
            Ok(())
        })
    }

    fn is_ready(&self, digest: ModuleDigest) -> bool {
        self.ready.lock().contains(&digest)
    }

    fn transform<'a>(&'a self, _: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>> {
        Box::pin(async { Ok(Vec::new().into()) })
    }

    fn retire(&self, digest: ModuleDigest) {
        self.ready.lock().remove(&digest);
    }
}

/// A listening leader. Its address stays the same when it is stopped and served again.
pub struct Served {
    pub address: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub async fn serve<S: FeedSource>(leader: &Arc<S>) -> Served {
    serve_at(leader, "127.0.0.1:0").await
}

pub async fn serve_at<S: FeedSource>(leader: &Arc<S>, address: &str) -> Served {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let config = server::Config { heartbeat_ms: 20, ..server::Config::default() };
    let task = tokio::spawn(server::serve(listener, leader.clone(), config, stop.clone()));
    Served { address, stop, task }
}

impl Served {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub struct TestEdge {
    pub node: Handle,
    pub runtime: Arc<Runtime>,
    stop: CancellationToken,
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Creates a configuration for an edge of this leader: `b` is resident, and intervals are short.
pub fn config(address: &str) -> Config {
    let mut config = Config { name: "test".into(), ping_interval_ms: 5, ..Config::default() };
    config.leader.leader = vec![address.to_owned()];
    config.views.insert("b".into(), ViewMode::Resident);
    config.reconnect_ms_min = 5;
    config.reconnect_ms_max = 50;
    config.fill_wait_ms_max = 5_000;
    config
}

pub fn stored(address: &str, directory: &Path) -> Config {
    Config { data_dir: Some(directory.to_owned()), ..config(address) }
}

pub async fn start(config: Config) -> TestEdge {
    start_with(config, Arc::default()).await
}

pub async fn start_with(config: Config, runtime: Arc<Runtime>) -> TestEdge {
    let stop = CancellationToken::new();
    let node = littoral_edge::start(config, runtime.clone(), stop.clone()).await.unwrap();
    TestEdge { node, runtime, stop }
}

pub fn request(view: u32, keys: impl IntoIterator<Item = u64>, demand: ReadDemand) -> ReadRequest {
    let mut batch = KeyBatch::default();
    keys.into_iter().for_each(|key| batch.push(&key.to_le_bytes()));
    ReadRequest { reads: vec![ViewRead { view: ViewId(view), keys: batch }], demand }
}

pub fn at_least(token: &Watermark) -> ReadDemand {
    ReadDemand { at_least: Some(token.clone()), wait_max: Duration::from_secs(10), ..ReadDemand::default() }
}

/// Returns the first view's values.
pub fn values(answer: &ReadAnswer) -> Vec<Option<i64>> {
    let value = |row: &littoral_model::row::Row| match row.value(0, ValueType::Int64).to_value() {
        littoral_model::value::Value::Int64(value) => value,
        other => panic!("{other:?}"),
    };
    answer.rows[0].iter().map(|row| row.as_ref().map(value)).collect()
}

impl TestEdge {
    pub async fn read(&self, view: u32, keys: &[u64], demand: ReadDemand) -> ReadAnswer {
        self.node.read(&request(view, keys.iter().copied(), demand)).await.unwrap()
    }

    pub async fn values(&self, view: u32, keys: &[u64], token: &Watermark) -> Vec<Option<i64>> {
        // An edge that has no replica yet cannot wait for a token.
        self.bootstrapped().await;
        values(&self.read(view, keys, at_least(token)).await)
    }

    pub async fn bootstrapped(&self) {
        self.eventually("bootstrapped", |node| {
            node.status().degraded != Some(littoral_model::freshness::Degraded::Bootstrapping)
        })
        .await;
    }

    pub async fn eventually(&self, what: &str, holds: impl Fn(&Handle) -> bool) {
        for _ in 0..12_000 {
            if holds(&self.node) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {what}: {:?}", self.node.status());
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.node.stopped().await;
    }
}
