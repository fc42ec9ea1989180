//! A node in memory: what a leader does, without a log.

use bytes::Bytes;
use littoral_model::{
    adoption::{AdoptError, OfferedLog},
    catalogue::{Catalogue, CatalogueChange},
    column::{Column, ColumnData, Status},
    conflict::{Conflict, ConflictSide},
    digest::{Verification, ViewVerification},
    entity_key,
    event_time::EventTime,
    freshness::{Consistency, Degraded, Freshness, OnUnmet, Source},
    hlc::{Hlc, HlcClock},
    module::{ModuleDigest, ModuleManifest, ModuleRelease},
    module_outputs::ModuleOutputs,
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModuleCall, ModuleError, ModulePut, ModuleRuntime, Node, Tails},
    position::{Epoch, Incarnation, Lsn, Position},
    project::Receiver,
    read::{ReadAnswer, ReadError, ReadRequest, RowPage},
    region::Region,
    row::{Row, RowMeta},
    row_body::BodyBuilder,
    status::{NodeStatus, Role, Shortfalls, ViewStatus},
    token::Watermark,
    version::Version,
    view::ViewId,
    write::{NamedRow, WriteError, WriteReceipt, WriteRequest},
};
use littoral_replica::{Config, Mode, Table};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct MemoryNode {
    pub state: Mutex<State>,
    pub table: Table,
    /// Answers only through `read`, as a node that must wait.
    pub slow: bool,
    pub ready: bool,
    pub shortfalls: Shortfalls,
    /// Why its answers are degraded.
    pub degraded: Option<Degraded>,
    /// Answers `UNKNOWN` for a row that it does not hold.
    pub incomplete: bool,
    /// Its first data, which arrive when a read checks whether there are any.
    pub arriving: Mutex<Vec<CatalogueChange>>,
    /// Its detached tails, if it is a member.
    pub tails: Option<Arc<dyn Tails>>,
    /// Answers what only edges answer, and has one conflict.
    pub is_edge: bool,
    /// The index of a row whose event is too far ahead, in every write.
    pub future_row: Option<u32>,
}

pub struct State {
    catalogue: Arc<Catalogue>,
    clock: HlcClock,
    lsn: Lsn,
}

fn region() -> Region {
    "eu".parse().unwrap()
}

impl Default for MemoryNode {
    fn default() -> Self {
        let state = State { catalogue: Arc::default(), clock: HlcClock::default(), lsn: Lsn::NONE };
        let table = Table::new(Config { shards: 8, ..Config::default() });
        Self {
            state: Mutex::new(state),
            table,
            slow: false,
            ready: true,
            shortfalls: Shortfalls::default(),
            degraded: None,
            incomplete: false,
            arriving: Mutex::default(),
            tails: None,
            is_edge: false,
            future_row: None,
        }
    }
}

impl MemoryNode {
    fn views(&self) -> Vec<ViewStatus> {
        let status = |name: &str| ViewStatus { name: name.to_owned(), residency: "full".into(), rows: 0, bytes: 0 };
        self.state.lock().unwrap().catalogue.views().map(|view| status(&view.name)).collect()
    }

    pub fn apply(&self, change: CatalogueChange) -> Result<WriteReceipt, WriteError> {
        let mut state = self.state.lock().unwrap();
        if let Some(change) = state.catalogue.prepare(change)? {
            let mut catalogue = Catalogue::clone(&state.catalogue);
            catalogue.apply(&change);
            state.catalogue = Arc::new(catalogue);
        }
        state.lsn = state.lsn.next();
        Ok(receipt(state.lsn, state.lsn))
    }

    fn freshness(&self) -> Freshness {
        let receipt = receipt(Lsn::NONE, self.state.lock().unwrap().lsn);
        Freshness {
            position: receipt.position,
            watermark: receipt.token,
            staleness: Some(Duration::from_millis(7)),
            degraded: self.degraded,
            ..Freshness::default()
        }
    }

    fn answer(&self, request: &ReadRequest, answer: &mut ReadAnswer) {
        answer.rows.clear();
        for read in &request.reads {
            let mut rows = Vec::new();
            self.table.read(read.view, &read.keys, &mut rows, &mut Vec::new());
            answer.rows.push(rows);
        }
        answer.unknown.clear();
        if self.incomplete {
            let missing = answer.rows.iter().zip(0..).flat_map(|(rows, read)| {
                rows.iter().zip(0..).filter(|(row, _)| row.is_none()).map(move |(_, key)| (read, key))
            });
            answer.unknown = missing.collect();
        }
        answer.freshness = self.freshness();
    }
}

fn receipt(first: Lsn, lsn: Lsn) -> WriteReceipt {
    let incarnation = Incarnation(0xabc);
    WriteReceipt {
        first,
        position: Position { incarnation, lsn },
        token: Watermark::at(region(), incarnation, lsn),
        concern: littoral_model::write::WriteConcern::Local,
        duplicate: false,
        outranked: littoral_model::outranked::Outranked::default(),
    }
}

impl FeatureReader for MemoryNode {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.state.lock().unwrap().catalogue.clone()
    }

    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        for change in std::mem::take(&mut *self.arriving.lock().unwrap()) {
            self.apply(change).unwrap();
        }
        if self.slow || !request.demand.is_none() {
            return false;
        }
        self.answer(request, answer);
        true
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            let mut answer = ReadAnswer::default();
            self.answer(request, &mut answer);
            if request.demand.consistency == Consistency::Quorum {
                let (eu, us) = (region(), "us".parse().unwrap());
                if request.demand.on_unmet == OnUnmet::Fail {
                    let (answered, missing) = (vec![eu], format!("'{us}': it did not answer in time"));
                    return Err(ReadError::QuorumNotReached { needed: 2, of: 2, answered, missing });
                }
                (answer.freshness.source, answer.freshness.regions) = (Source::Quorum, vec![eu, us]);
            }
            match &request.demand.at_least {
                Some(token) if !answer.freshness.watermark.covers(token) => {
                    Err(ReadError::NotFreshEnough { wanted: token.to_string(), have: "less".into() })
                }
                _ => Ok(answer),
            }
        })
    }
}

impl FeatureWriter for MemoryNode {
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let mut state = self.state.lock().unwrap();
            if let Some(at) = self.future_row {
                let row = request.rows.iter().nth(at as usize).unwrap();
                let view = state.catalogue.view_by_id(row.view).unwrap().name.clone();
                let (event_time, row) = (row.event_time.to_string(), NamedRow { view, at, key: "id=7".into() });
                return Err(WriteError::FutureEvent { event_time, ahead_ms: 9, max_ms: 5, row });
            }
            let first = state.lsn.next();
            for write in request.rows.iter() {
                state.lsn = state.lsn.next();
                let version = Version { hlc: state.clock.tick(1), region: region() };
                let meta = RowMeta { view: write.view, event_time: write.event_time, version, lsn: state.lsn };
                let merge = state.catalogue.view_by_id(write.view).unwrap().merge;
                self.table.apply(Row::new(meta, write.key, write.body), merge, Mode::InsertAll);
            }
            Ok(receipt(first, state.lsn))
        })
    }

    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move { self.apply(change) })
    }

    fn put_module(
        &self,
        name: String,
        version: String,
        component: Bytes,
    ) -> BoxFuture<'_, Result<ModulePut, WriteError>> {
        Box::pin(async move {
            let manifest: ModuleManifest =
                serde_json::from_slice(&component).map_err(|error| WriteError::Invalid(error.to_string()))?;
            let digest = ModuleDigest::of(&component);
            let size = component.len() as u64;
            let release = ModuleRelease { name, version, digest, size, manifest: manifest.clone() };
            Ok(ModulePut { digest, manifest, receipt: self.apply(CatalogueChange::PutModule(release))? })
        })
    }
}

impl Node for MemoryNode {
    fn shortfalls(&self) -> Shortfalls {
        self.shortfalls.clone()
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            name: "memory".into(),
            role: Role::Leader,
            region: region(),
            ready: self.ready,
            not_ready_reason: if self.ready { String::new() } else { "still loading".into() },
            degraded: None,
            epoch: Epoch::FIRST,
            position: self.freshness().position,
            head: self.freshness().position,
            staleness_ms: Some(0),
            writable: true,
            watermark: Watermark::default(),
            lineages: littoral_model::lineage::RegionLineages::default(),
            regions: Vec::new(),
            views: self.views(),
            modules: Vec::new(),
            gauges: Default::default(),
        }
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        Some(self.table.page(view, after, limit))
    }

    fn held_in(&self) -> Receiver {
        Receiver::In(region())
    }

    fn tails(&self) -> Option<Arc<dyn Tails>> {
        self.tails.clone()
    }

    fn conflicts(&self) -> Option<Vec<Conflict>> {
        let side = |hlc, region: &str, body| ConflictSide {
            version: Version { hlc: Hlc(hlc), region: region.parse().unwrap() },
            event_time: EventTime(0),
            body,
        };
        let mut key = Vec::new();
        entity_key::push_i64(&mut key, 5);
        let mut body = BodyBuilder::new(1);
        body.push_f64(1.5);
        let body = Some(Bytes::from(body.finish().unwrap()));
        let (kept, lost) = (side(0x20000, "us", None), side(0x10000, "eu", body));
        self.is_edge.then(|| vec![Conflict { view: ViewId(1), key: key.into(), kept, lost, lsn: Lsn(1) }])
    }

    fn verify(&self) -> Option<BoxFuture<'_, Result<Verification, ReadError>>> {
        let view = ViewVerification {
            view: "trips".into(),
            residency: "full".into(),
            rows: 1,
            equal: None,
            buckets_differed: vec![1],
            buckets_spoilt: Vec::new(),
            rows_differed: 0,
            mended: true,
        };
        let verification = Verification { equal: true, lsn: Lsn(1), at_ms: 1, took_ms: 1, views: vec![view] };
        let answer: BoxFuture<'_, _> = Box::pin(async move { Ok(verification) });
        self.is_edge.then_some(answer)
    }

    fn adopt(&self, log: Option<Incarnation>) -> Option<Result<OfferedLog, AdoptError>> {
        let log = log.unwrap_or_default();
        self.is_edge.then(|| Ok(OfferedLog { region: region(), log, head: Lsn(1), reason: "another log".into() }))
    }
}

/// Runs every module by this function of the call.
pub struct Modules<F>(pub F);

impl<F> ModuleRuntime for Modules<F>
where
    F: Fn(&ModuleCall) -> Result<ModuleOutputs, ModuleError> + Send + Sync + 'static,
{
    fn inspect(&self, _component: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async { Ok(ModuleManifest::default()) })
    }

    fn prepare(&self, _digest: ModuleDigest, _component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>> {
        Box::pin(async { Ok(()) })
    }

    fn is_ready(&self, _digest: ModuleDigest) -> bool {
        true
    }

    fn transform<'a>(&'a self, call: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>> {
        Box::pin(async move { (self.0)(call) })
    }

    fn retire(&self, _digest: ModuleDigest) {}
}

/// Runs modules by their names: outputs are sums of the first input and each parameter.
pub fn add(call: &ModuleCall) -> Result<ModuleOutputs, ModuleError> {
    let module = call.name.to_string();
    match &*call.name {
        "trapping" | "fraud/faulty" => return Err(ModuleError::Trap { module, reason: "unreachable".into() }),
        "busy" => return Err(ModuleError::Busy { module, limit: 1 }),
        "short" => return Ok(Vec::new().into()),
        "panicking" => panic!("a fault of ours"),
        _ => {}
    }
    let input = &call.inputs[0];
    let first: Vec<f64> = match &input.data {
        ColumnData::Float(values) => values.iter().map(|v| f64::from(*v)).collect(),
        ColumnData::Double(values) => values.clone(),
        other => panic!("{other:?}"),
    };
    let outputs = call.manifest.outputs.iter().zip(&call.params).map(|(output, param)| {
        let ColumnData::Int64(add) = &param.data else { panic!("{param:?}") };
        let mut column = Column::with_capacity(output.value_type, call.rows);
        for row in 0..call.rows {
            match input.statuses[row] {
                Status::Present => {
                    column.push(littoral_model::row_body::ValueRef::Double(first[row] + add[row] as f64))
                }
                Status::Unknown => column.push_absent(Status::Unknown),
                _ => column.push(littoral_model::row_body::ValueRef::Null),
            }
        }
        column
    });
    Ok(outputs.collect::<Vec<_>>().into())
}
