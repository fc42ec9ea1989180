//! A node that accepts rows like a leader, and records every request.

#![allow(dead_code, reason = "each test file uses a part")]

use crate::server::Server;
use bytes::Bytes;
use littoral_client::{Client, Config};
use littoral_columnar::{Limits, decode_ipc};
use littoral_ingest::Options;
use littoral_model::{
    event_time::EventTime,
    lineage::{Lineage, RegionLineages, Start},
    merge::MergePolicy,
    position::{Epoch, Incarnation, Lsn, Position},
    region::Region,
    status::{NodeStatus, Role},
    token::Watermark,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

#[allow(dead_code, reason = "not every test that has this module reads a fixture")]
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/flights").join(name)
}

pub fn route_daily() -> FeatureView {
    let key = |name: &str| JoinKey { name: name.into(), entity: name.into(), value_type: ValueType::String };
    let feature = |name: &str, value_type| Feature { name: name.into(), value_type };
    FeatureView {
        id: ViewId(7),
        name: "route_daily".into(),
        join_keys: vec![key("destination"), key("origin")],
        features: vec![
            feature("flights_7d", ValueType::Int64),
            feature("delayed_7d", ValueType::Int64),
            feature("mean_delay_7d", ValueType::Double),
            feature("distance_miles", ValueType::Int64),
        ],
        ttl_ms: None,
        merge: MergePolicy::default(),
    }
}

/// The rows of each entity key, in the order of their arrival.
type Held = BTreeMap<Vec<u8>, Vec<(EventTime, Vec<u8>)>>;

/// What a node has accepted: every row by key in the order of arrival, and every idempotency key.
pub struct Node {
    pub view: FeatureView,
    /// The definition of the view's source.
    pub source: serde_json::Value,
    pub incarnation: u64,
    /// The history of its log.
    pub lineages: RegionLineages,
    pub rows: Held,
    pub duplicates: u64,
    /// The number of requests that the node accepts before it rejects.
    pub patience: Option<usize>,
    pub taken: usize,
    pub body_bytes_max: usize,
    /// The keys whose rows are rejected.
    pub refuses: HashSet<Vec<u8>>,
    /// Whether rows are counted and not kept.
    pub forgets: bool,
    pub counted: u64,
    keys: HashSet<String>,
}

impl Node {
    #[allow(dead_code, reason = "not every test that has this module counts")]
    pub fn row_count(&self) -> u64 {
        self.rows.values().map(|rows| rows.len() as u64).sum()
    }

    /// Rolls the log back to its first `to` records, after which another life of it begins.
    pub fn roll_back(&mut self, to: u64) {
        let mut lineage = Lineage::of(Incarnation(self.incarnation));
        let first = Lsn(to + 1);
        let (after, life) = (lineage.current(), Incarnation(self.incarnation + 100));
        lineage.begin(Start { life, first, after, shared: Lsn(to) });
        self.lineages.set(region(), lineage);
        if to == 0 {
            self.rows.clear();
            self.keys.clear();
        }
    }

    fn answer(&mut self, request: &hyper::Request<Bytes>) -> (u16, Vec<u8>) {
        let position = Position { incarnation: Incarnation(self.incarnation), lsn: Lsn(self.taken as u64) };
        match request.uri().path() {
            "/v1/status" => (200, serde_json::to_vec(&status(position, self.lineages.clone())).unwrap()),
            "/v1/views/route_daily" => {
                let mut view = serde_json::json!(self.view);
                view["source"] = self.source.clone();
                (200, serde_json::to_vec(&view).unwrap())
            }
            "/v1/views/route_daily/rows" => self.take(request, position),
            _ => (404, br#"{"status":404,"code":"unknown_view","detail":"there is no such view"}"#.to_vec()),
        }
    }

    fn take(&mut self, request: &hyper::Request<Bytes>, position: Position) -> (u16, Vec<u8>) {
        if self.patience.is_some_and(|patience| self.taken >= patience) {
            return (422, br#"{"status":422,"code":"full","detail":"no more today"}"#.to_vec());
        }
        self.taken += 1;
        let position = Position { lsn: Lsn(self.taken as u64), ..position };
        self.body_bytes_max = self.body_bytes_max.max(request.body().len());
        let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
        assert!(key.len() <= 256, "{key}");
        let rows = decode_ipc(request.body().clone(), &self.view, EventTime::EPOCH, Limits::default()).unwrap();
        if let Some(row) = rows.iter().position(|row| self.refuses.contains(row.key)) {
            let detail = format!("row {row} of view 'route_daily' is ahead");
            let problem = serde_json::json!({ "status": 422, "code": "future_event", "detail": detail, "row": row });
            return (422, serde_json::to_vec(&problem).unwrap());
        }
        let duplicate = !self.keys.insert(key);
        if duplicate {
            self.duplicates += 1;
        } else if self.forgets {
            self.counted += rows.len() as u64;
        } else {
            for row in rows.iter() {
                let taken = (row.event_time, row.body.unwrap().to_vec());
                self.rows.entry(row.key.to_vec()).or_default().push(taken);
            }
        }
        let receipt = serde_json::json!({
            "position": position, "token": Watermark::at(region(), position.incarnation, position.lsn).to_string(), "rows": rows.len(), "duplicate": duplicate,
        });
        (200, serde_json::to_vec(&receipt).unwrap())
    }
}

pub fn region() -> Region {
    "us".parse().unwrap()
}

fn status(position: Position, lineages: RegionLineages) -> NodeStatus {
    NodeStatus {
        name: "test".into(),
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
        lineages,
        regions: Vec::new(),
        views: vec![],
        modules: vec![],
        gauges: BTreeMap::new(),
    }
}

/// A node, a client of it, and a directory for state files.
pub struct World {
    _server: Server,
    pub client: Client,
    pub node: Arc<Mutex<Node>>,
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let node = Arc::new(Mutex::new(Node {
            view: route_daily(),
            source: serde_json::Value::Null,
            incarnation: 1,
            lineages: RegionLineages::default(),
            rows: Held::new(),
            duplicates: 0,
            patience: None,
            taken: 0,
            body_bytes_max: 0,
            refuses: HashSet::new(),
            forgets: false,
            counted: 0,
            keys: HashSet::new(),
        }));
        let answering = Arc::clone(&node);
        let server = Server::start(move |request| {
            let (status, body) = answering.lock().answer(&request);
            (status, body.into())
        })
        .await;
        let client = Client::new(&server.url, Config::default()).unwrap();
        Self { _server: server, client, node, dir: tempfile::tempdir().unwrap() }
    }

    pub fn options(&self) -> Options {
        let state = Some(self.dir.path().join("state.json"));
        Options { batch_rows: 1_000, state, ..Options::new("route_daily") }
    }
}
