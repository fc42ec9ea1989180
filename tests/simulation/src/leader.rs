//! A leader: the product's log over a failing disk, and its core, driven in one thread as the product's threads drive
//! it.

use crate::{
    event::SnapshotOutcome,
    history::{Entry, Write},
    random::Random,
};
use littoral_leader_core::{
    Building, CommandEffect, Head, Imports, Ledger, Limits, LogCommand, Owner, Published, Receipts, RehomingPoints,
    Sequencer, State, anti_entropy, apply::Regional, ingest, receipts::content_hash,
};
use littoral_log::{
    Log as _, Retention,
    embedded::{Embedded, Options},
    snapshot,
    storage::{Faults, Memory},
};
use littoral_model::{
    catalogue::CatalogueChange,
    cluster::Affiliation,
    digest::{BucketRows, Checkpoints},
    entity_key,
    event_time::EventTime,
    hlc::{Hlc, HlcClock},
    merge::MergePolicy,
    ports::RecordBlock,
    position::{Epoch, Incarnation, Lsn, Position},
    project::{Project, ProjectName, qualify},
    region::Region,
    row_body::BodyBuilder,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::{RowBatch, RowWrite, WriteError, WriteReceipt, WriteRequest},
};
use littoral_recovery::{CallingThread, Progress, RestoreWorkers, recover};
use littoral_replica::{Config, Table};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};

/// A view with residency `full`.
pub const FULL: ViewId = ViewId(1);
/// A view with residency `resident`.
pub const RESIDENT: ViewId = ViewId(2);
/// The view of a project with a residency rule, in worlds that have one.
pub const RESTRICTED: ViewId = ViewId(3);
/// The project of [`RESTRICTED`].
const PRIVATE: &str = "private";
/// The number of keys of each view: few, so that writes often meet.
pub const KEYS: u64 = 6;
/// The start of the leaders' wall clocks, in milliseconds.
const EPOCH_MS: i64 = 1_000_000_000;
/// No receipt is dropped for number or age.
const RECEIPTS_MAX: usize = 10_000;
const RECEIPTS_AGE_MS: u64 = 1 << 40;

/// One lifetime of a leader's process.
pub struct Leader {
    /// Its disk.
    pub disk: Memory,
    /// Its log.
    pub log: Arc<Embedded>,
    /// Its rows.
    pub table: Arc<Table>,
    /// The epoch under which it appends.
    pub epoch: Epoch,
    /// What is durable and applied.
    pub published: Published,
    /// The newest digests.
    pub checkpoints: Checkpoints,
    /// The offset of its wall clock, in milliseconds.
    pub wall_offset_ms: i64,
    /// The affiliation of its log.
    pub affiliation: Affiliation,
    /// Whether another leader has replaced it: it accepts no writes, and cannot determine how far it is behind.
    pub deposed: bool,
    limits: Limits,
    sequencer: Sequencer,
    receipts: Receipts,
    /// The positions of other regions' records in its log.
    pub rehoming: RehomingPoints,
    /// Conflicts with other regions' records.
    pub ledger: Ledger,
    state: State,
}

/// A batch that is not appended yet.
pub struct Built {
    building: Building,
    results: Vec<Result<CommandEffect, WriteError>>,
}

/// A result for each command of a batch, or why nothing of it is durable.
pub type Answers = Result<Vec<Result<WriteReceipt, WriteError>>, String>;

impl Built {
    /// Returns for each command whether it has added records to the batch.
    #[must_use]
    pub fn fresh(&self) -> Vec<bool> {
        self.results.iter().map(|result| !matches!(result, Ok(CommandEffect::Before { .. }) | Err(_))).collect()
    }
}

/// Returns the region of everything.
#[must_use]
pub fn region() -> Region {
    "east".parse().unwrap_or(Region::NONE)
}

fn view(name: &str) -> FeatureView {
    FeatureView {
        id: ViewId(0),
        name: name.to_owned(),
        join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
        features: vec![Feature { name: "f".into(), value_type: ValueType::Int64 }],
        ttl_ms: None,
        merge: MergePolicy::LatestEvent,
    }
}

/// The layout of tables: few shards, and the seed decides where rows are.
pub const TABLE: Config =
    Config { shards: 4, resident_bytes: None, misses_max: 100_000, floor: Lsn::NONE, hash_seed: Some(7) };

impl Leader {
    /// Opens the log on `disk` and restores the state.
    ///
    /// # Errors
    /// The problem as text.
    pub fn open(disk: Memory, epoch: Epoch, entropy: u64) -> Result<Self, String> {
        Self::open_in(region(), Imports::default(), disk, epoch, entropy)
    }

    /// Like [`Leader::open`], in a region that imports others' records.
    ///
    /// # Errors
    /// The problem as text.
    pub fn open_in(region: Region, imports: Imports, disk: Memory, epoch: Epoch, entropy: u64) -> Result<Self, String> {
        Self::open_as(region, imports, disk, epoch, entropy, true)
    }

    /// Like [`Leader::open_in`]. `begins_life` is whether another life of the log begins, as it does unless the whole
    /// host was restored to an earlier state.
    ///
    /// # Errors
    /// The problem as text.
    pub fn open_as(
        region: Region,
        imports: Imports,
        disk: Memory,
        epoch: Epoch,
        entropy: u64,
        begins_life: bool,
    ) -> Result<Self, String> {
        let options =
            Options { region, first_epoch: Epoch::FIRST, segment_bytes: 4 << 10, cache_bytes: 4 << 10, entropy };
        let log = Arc::new(Embedded::open(Arc::new(disk.clone()), options).map_err(|error| error.to_string())?);
        let receipts = || (Receipts::new(RECEIPTS_MAX, RECEIPTS_AGE_MS), Ledger::new(100, 1 << 20));
        let how = (&CallingThread as &dyn RestoreWorkers, &Progress::default());
        let recovered =
            recover(&disk, &*log, TABLE, log.bounds().tail, receipts, how).map_err(|error| error.to_string())?;
        let (bounds, identity) = (log.bounds(), log.identity());
        let hlc = recovered.hlc.max(bounds.hlc);
        let limits = Limits {
            request_bytes_max: 1 << 20,
            row_bytes_max: 1 << 20,
            rows_bytes_max: u64::MAX,
            future_ms_max: 1 << 40,
        };
        let owner = Owner { region: identity.region, epoch };
        let clock = HlcClock::after(hlc);
        let imports = Imports { log: identity.incarnation, ..imports };
        let mut sequencer = Sequencer::new(owner, limits, clock, recovered.known)
            .importing(imports)
            .over(recovered.table.clone())
            .unbegun(begins_life && !log.is_new());
        if sequencer.is_unbegun() {
            let life = Incarnation(
                entropy.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(log.bounds().tail.0 as u32))
                    | (1 << 63),
            );
            let begun = sequencer.begin_now(&log.bounds(), life, EPOCH_MS as u64, |batch| log.append(batch).map(drop));
            begun.map_err(|error| error.to_string())?;
        }
        let (bounds, known) = (log.bounds(), sequencer.known().clone());
        let hlc = hlc.max(bounds.hlc);
        let published = Published::at(identity, Head { lsn: bounds.tail, chain: bounds.chain, hlc }, known.clone());
        Ok(Self {
            disk,
            log,
            table: recovered.table,
            epoch,
            published,
            checkpoints: Checkpoints::default(),
            wall_offset_ms: 0,
            affiliation: Affiliation::founder(identity.incarnation),
            deposed: false,
            limits,
            sequencer,
            receipts: recovered.receipts,
            rehoming: recovered.rehoming,
            ledger: recovered.ledger,
            state: State::new(known, identity),
        })
    }

    /// Returns the catalogue changes that create the views.
    #[must_use]
    pub fn views() -> Vec<LogCommand> {
        ["full", "resident"].map(|name| LogCommand::Change(CatalogueChange::PutView(view(name)))).into()
    }

    /// Returns the commands that create a project whose rows only these regions may hold, and its view
    /// [`RESTRICTED`]. They follow [`Leader::views`].
    #[must_use]
    pub fn restricted_view(regions: Vec<Region>) -> Vec<LogCommand> {
        let project = Project { name: PRIVATE.to_owned(), regions, ..Project::default() };
        let restricted = view(&qualify(PRIVATE, "restricted"));
        let changes = [CatalogueChange::PutProject(Box::new(project)), CatalogueChange::PutView(restricted)];
        changes.map(LogCommand::Change).into()
    }

    /// Returns the wall clock's milliseconds.
    #[must_use]
    pub fn now_ms(&self, now: Duration) -> u64 {
        let ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        (EPOCH_MS + ms + self.wall_offset_ms).max(0) as u64
    }

    /// Validates a write like a door.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn check(&self, request: WriteRequest, now: Duration) -> Result<LogCommand, WriteError> {
        let catalogue = &self.published.catalogue;
        ingest::check(&self.limits, catalogue, &request, self.now_ms(now))?;
        let content = if request.idempotency_key.is_some() { content_hash(&request) } else { 0 };
        Ok(LogCommand::Write { request, content, generation: catalogue.generation })
    }

    /// Commits, applies and answers commands in one batch, like the commit and apply threads. Returns a result for each
    /// command, unless the batch failed.
    ///
    /// # Errors
    /// Why nothing of it is durable.
    pub fn commit(&mut self, commands: Vec<LogCommand>, now: Duration) -> Answers {
        let built = self.build(commands, now);
        self.append(built)
    }

    /// Builds a batch.
    pub fn build(&mut self, commands: Vec<LogCommand>, now: Duration) -> Built {
        let mut building = self.sequencer.begin(Vec::new(), &self.log.bounds(), 256, self.now_ms(now));
        let add = |command| self.sequencer.take(&mut building, command, &mut self.receipts);
        let results = commands.into_iter().map(add).collect();
        Built { building, results }
    }

    /// Appends a batch and applies it.
    ///
    /// # Errors
    /// Why nothing of it is durable.
    pub fn append(&mut self, Built { building, results }: Built) -> Answers {
        let (batch, effects) = building.finish();
        if !batch.is_empty() {
            if let Err(error) = self.log.append(batch) {
                effects.undo(&mut self.receipts);
                return Err(error.to_string());
            }
            self.sequencer.durable(effects);
        }
        let identity = self.log.identity();
        let mut answers = Vec::new();
        for result in results {
            answers.push(result.map(|effect| {
                let regional = Regional { ledger: &mut self.ledger, rehoming: &mut self.rehoming };
                self.state.apply(&self.table, &effect, regional);
                let outranked = self.receipts.outranked(&effect, &self.state.outranked_rows);
                WriteReceipt { outranked, ..self.state.receipt(effect.records()) }
            }));
        }
        let bounds = self.log.bounds();
        let head = Head { lsn: bounds.tail, chain: bounds.chain, hlc: bounds.hlc };
        self.published = Published::at(identity, head, self.state.known.clone());
        Ok(answers)
    }

    /// Returns the log's entries from a record on, as far as they are kept.
    ///
    /// # Errors
    /// The problem as text.
    pub fn entries(&self, from: Lsn, at: Duration) -> Result<Vec<Entry>, String> {
        let (mut all, mut next) = (Vec::new(), from.max(self.log.bounds().oldest));
        loop {
            let block = self.log.read(next, 1 << 20).map_err(|error| error.to_string())?;
            if block.bytes.is_empty() {
                return Ok(all);
            }
            for record in records::iter(&block.bytes) {
                all.push(Entry::of(&record.map_err(|error| error.to_string())?, at));
            }
            next = block.last.next();
        }
    }

    /// Returns records for a subscriber; only records that are applied here.
    ///
    /// # Errors
    /// The problem as text.
    pub fn records(&self, from: Lsn, bytes_max: usize) -> Result<RecordBlock, String> {
        let block = self.log.read(from, bytes_max).map_err(|error| error.to_string())?;
        Ok(littoral_log::through(block, self.published.position.lsn))
    }

    /// Takes a checkpoint.
    pub fn take_checkpoint(&mut self, now: Duration) {
        let at = Hlc::new(self.now_ms(now), 0);
        let lsn = self.published.position.lsn;
        self.checkpoints.push(anti_entropy::checkpoint(&self.table, &self.state.known.catalogue, lsn, at, |_| false));
    }

    /// Returns a bucket's rows for a repair.
    #[must_use]
    pub fn bucket(&self, view: ViewId, bucket: u8, after: Option<&[u8]>) -> BucketRows {
        let as_of = self.published.position;
        let (rows, more) = self.table.bucket(view, bucket, after, 64);
        BucketRows { as_of, rows, more }
    }

    /// Writes a snapshot, and removes the older snapshots and the records that it replaces.
    pub fn snapshot_to_disk(&self) -> SnapshotOutcome {
        let remembered = snapshot::Remembered {
            receipts: self.receipts.through(self.published.position.lsn),
            origins: (*self.published.origins).clone(),
            lineages: (*self.published.lineages).clone(),
            conflicts: self.ledger.iter().cloned().collect(),
        };
        let head =
            littoral_recovery::snapshot_head(&self.published, self.log.identity(), self.epoch, self.table.len() as u64);
        if let Err(error) = snapshot::write(&self.disk, &head, self.table.chunks(4), &remembered) {
            return SnapshotOutcome::NotWritten(error.to_string());
        }
        let through = match snapshot::prune(&self.disk) {
            Ok(through) => through,
            Err(error) => return SnapshotOutcome::NotPruned(error.to_string()),
        };
        match self.log.trim(Retention { through, bytes_max: 0, before: Hlc(u64::MAX) }) {
            Ok(oldest) => SnapshotOutcome::Written { as_of: head.as_of, oldest },
            Err(error) => SnapshotOutcome::NotTrimmed(error.to_string()),
        }
    }

    /// Returns the last record.
    #[must_use]
    pub fn head(&self) -> Position {
        self.published.position
    }

    /// Decides how the disk fails from now on.
    pub fn fail(&self, random: &mut Random) -> Faults {
        let faults = match random.below(3) {
            0 => Faults { sync_fails_after: Some(random.below(3) as u32), ..Faults::default() },
            1 => Faults { write_fails_after: Some(random.below(300)), ..Faults::default() },
            _ => Faults { capacity: Some(random.below(8 << 10)), ..Faults::default() },
        };
        self.disk.set_faults(faults);
        faults
    }
}

/// Returns the stored form of an idempotency key of the project with a residency rule.
#[must_use]
pub fn restricted_key(key: String) -> String {
    PRIVATE.parse::<ProjectName>().unwrap_or_default().qualify_key(key)
}

/// Returns a key by its number.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    let mut key = Vec::new();
    entity_key::push_i64(&mut key, number as i64);
    key
}

/// Returns a random row to write. Some events are late.
pub fn write(random: &mut Random, now: Duration) -> Write {
    let late_ms = if random.one_in(4) { random.below(400) } else { random.below(40) } as i64;
    let mut body = BodyBuilder::new(1);
    body.push_i64(random.any() as i64);
    Write {
        view: if random.one_in(2) { FULL } else { RESIDENT },
        key: key(random.below(KEYS)),
        body: body.finish().ok().filter(|_| !random.one_in(4)),
        event_time: EventTime::from_ms(EPOCH_MS + now.as_millis() as i64 - late_ms).0,
    }
}

/// Returns writes as one request.
#[must_use]
pub fn request(writes: &[Write], idempotency_key: Option<String>) -> WriteRequest {
    let mut rows = RowBatch::default();
    for Write { view, key, body, event_time } in writes {
        rows.push(RowWrite { view: *view, event_time: EventTime(*event_time), key, body: body.as_deref() });
    }
    WriteRequest { rows, idempotency_key, ..WriteRequest::default() }
}

/// Returns the writes of a request.
#[must_use]
pub fn writes_of(request: &WriteRequest) -> Vec<Write> {
    let of = |row: RowWrite<'_>| Write {
        view: row.view,
        key: row.key.to_vec(),
        body: row.body.map(<[u8]>::to_vec),
        event_time: row.event_time.0,
    };
    request.rows.iter().map(of).collect()
}
