//! Sequences writes into batches for the log: assigns versions and LSNs, recognizes retries, and undoes everything if a batch
//! fails.
//!
//! While one batch is being written to disk, the next one may already be built on it: with the LSNs, the chain, the catalogue and
//! the receipts that will be valid if the write succeeds. If it fails, the batch built on it is rejected too.

use crate::{
    deletion,
    import::{Import, Imports},
    ingest::{self, Limits},
    log_state::LogState,
    receipts::{self, Receipts},
};
use bytes::Bytes;
use littoral_model::{
    catalogue::CatalogueChange,
    cluster::Affiliation,
    event_time::EventTime,
    hlc::{Hlc, HlcClock},
    lineage::{RegionLineages, Start},
    mutation::{Mutation, active},
    parts,
    position::{Epoch, Incarnation, Lsn},
    record::{ChainHash, Payload, Record},
    region::Region,
    write::{WriteError, WriteRequest},
};
use littoral_replica::Table;
use littoral_wire::batch::{Batch, Bounds, PushError};
use std::sync::Arc;

/// What the log is to receive.
#[derive(Debug)]
pub enum LogCommand {
    /// A write that was checked against the catalogue of this generation; `content` is its hash.
    Write {
        /// The rows.
        request: WriteRequest,
        /// [`crate::receipts::content_hash`], if the write has an idempotency key.
        content: u64,
        /// The generation of the catalogue against which it was checked.
        generation: u64,
    },
    /// A change of the catalogue.
    Change(CatalogueChange),
    /// Collect tombstones of older writes. A record, so that all replicas collect at the same position.
    Collect(Hlc),
    /// Another region's records.
    Import(Import),
    /// Begin another life of the log with this record.
    Begin {
        /// A random number that names the life.
        life: Incarnation,
        /// Whether the log was found to be rolled back while its process ran.
        rolled_back: bool,
    },
    /// Set the affiliation of the log.
    Affiliate(Affiliation),
    /// Merge rows and deletions that this region had accepted and its log has lost. They keep their versions, as if they arrived
    /// late.
    Merge {
        /// The records, encoded as in a log. Other kinds of records are skipped.
        records: Bytes,
        /// An idempotency key that names the piece and the log.
        piece: String,
        /// [`crate::receipts::bytes_hash`] of the records.
        content: u64,
    },
}

/// What must be applied once the batch is durable.
#[derive(Debug)]
pub enum Durable {
    /// Rows. Their LSNs and clock readings follow the first one's, ascending by one.
    Rows {
        /// The rows.
        request: WriteRequest,
        /// The first row's LSN.
        first: Lsn,
        /// The last row's LSN.
        last: Lsn,
        /// The first row's clock reading.
        hlc: Hlc,
    },
    /// A catalogue change.
    Change {
        /// The change as in the log.
        change: CatalogueChange,
        /// The LSN of its record.
        lsn: Lsn,
    },
    /// A collection of tombstones.
    Collect {
        /// The tombstones of writes older than this are collected.
        before: Hlc,
        /// The LSN of its record.
        lsn: Lsn,
    },
    /// Another region's records, to be applied one by one.
    Import {
        /// The records as in this log.
        records: Bytes,
        /// The first LSN.
        first: Lsn,
        /// The last LSN.
        last: Lsn,
    },
    /// A new life of the log.
    Begin {
        /// Its first record.
        start: Start,
    },
    /// A new affiliation of the log.
    Affiliated {
        /// The affiliation.
        belongs: Affiliation,
        /// The LSN of its record.
        lsn: Lsn,
    },
    /// Nothing: the request is already in the log, in this batch, or in an earlier one. It is acknowledged when that is durable.
    Before {
        /// The first record of the request.
        first: Lsn,
        /// The last record of the request.
        last: Lsn,
        /// Whether the request is a retry.
        duplicate: bool,
    },
}

impl Durable {
    /// Returns the first and last record of the request, and whether it is a retry.
    #[must_use]
    pub fn range(&self) -> (Lsn, Lsn, bool) {
        match self {
            Self::Rows { first, last, .. } | Self::Import { first, last, .. } => (*first, *last, false),
            Self::Change { lsn, .. } | Self::Collect { lsn, .. } | Self::Affiliated { lsn, .. } => (*lsn, *lsn, false),
            Self::Begin { start } => (start.first, start.first, false),
            Self::Before { first, last, duplicate } => (*first, *last, *duplicate),
        }
    }
}

/// The log to which records are appended.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Its region.
    pub region: Region,
    /// The epoch of new records.
    pub epoch: Epoch,
}

/// Assigns writes their place in the log. For one caller at a time.
#[derive(Debug)]
pub struct Sequencer {
    pub(crate) region: Region,
    epoch: Epoch,
    limits: Limits,
    pub(crate) clock: HlcClock,
    /// The state as of the last durable record, applied or not.
    known: LogState,
    pub(crate) imports: Imports,
    /// The applied rows, which deletions without an event time must outrank.
    table: Option<Arc<Table>>,
    /// Whether the log was opened and its new life has not been written yet. Nothing else is accepted before.
    unbegun: bool,
    /// The number of the newest sealed batch.
    finished: u64,
    /// The number of the newest durable batch.
    durable: u64,
    /// The batch that is being written to disk.
    under_way: Option<UnderWay>,
}

/// The state that is valid if the batch that is being written becomes durable.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    end: Bounds,
    known: LogState,
    begun: bool,
}

/// A batch under construction, and everything to undo if it fails.
#[derive(Debug)]
pub struct Building {
    pub(crate) batch: Batch,
    pub(crate) pending: Pending,
    pub(crate) now_ms: u64,
    /// The batch on which it was built before that was durable.
    built_on: Option<u64>,
}

/// What a batch changes if it becomes durable, and what to undo otherwise.
#[derive(Debug)]
pub struct Pending {
    pub(crate) known: LogState,
    /// Whether another life begins in it, or in the batch on which it is built.
    begun: bool,
    keys: Vec<(String, Lsn)>,
    number: u64,
}

impl Building {
    /// Returns the size of its records in bytes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.batch.bytes_len()
    }
}

impl Sequencer {
    /// Creates a sequencer that continues after the recovered state.
    #[must_use]
    pub fn new(Owner { region, epoch }: Owner, limits: Limits, clock: HlcClock, known: LogState) -> Self {
        let (imports, table, under_way) = (Imports::default(), None, None);
        let (finished, durable) = (0, 0);
        Self { region, epoch, limits, clock, known, imports, table, unbegun: false, finished, durable, under_way }
    }

    /// Sets the table of applied rows: a deletion without an event time outranks the rows in it.
    #[must_use]
    pub fn over(self, table: Arc<Table>) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Sets how other regions' records are imported.
    #[must_use]
    pub fn importing(self, imports: Imports) -> Self {
        Self { imports, ..self }
    }

    /// Sets whether the log was just opened by its only member. Then another life must begin first, with [`LogCommand::Begin`].
    #[must_use]
    pub fn unbegun(self, unbegun: bool) -> Self {
        Self { unbegun, ..self }
    }

    /// Returns whether another life must begin before anything else is accepted.
    #[must_use]
    pub const fn is_unbegun(&self) -> bool {
        self.unbegun
    }

    /// Returns the epoch of new records.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Begins to lead in this epoch, after a log whose newest clock reading is `last` and which has this lineage, including lives
    /// that began past the applied position. The first command must be [`LogCommand::Begin`]; everything else waits for
    /// [`Sequencer::open`].
    pub fn lead(&mut self, epoch: Epoch, last: Hlc, lives: RegionLineages) {
        self.epoch = epoch;
        self.known.lives = Arc::new(lives);
        self.clock = HlcClock::after(self.clock.last().max(last));
    }

    /// Notes that all earlier records are applied. Writes are now checked against this state.
    pub fn open(&mut self, known: LogState) {
        self.known = known;
    }

    /// Begins a batch that follows the log's tail, or the batch that is being written. Uses the given buffer, with room for `bytes`
    /// bytes.
    #[must_use]
    pub fn begin(&self, buffer: Vec<u8>, bounds: &Bounds, bytes: usize, now_ms: u64) -> Building {
        let (bounds, known, begun) = match &self.under_way {
            Some(UnderWay { end, known, begun, .. }) => (end, known, *begun),
            None => (bounds, &self.known, false),
        };
        let pending = Pending { known: known.clone(), begun, keys: Vec::new(), number: 0 };
        let built_on = self.under_way.as_ref().map(|under_way| under_way.number);
        Building { batch: Batch::within(buffer, bounds, self.epoch, bytes), pending, now_ms, built_on }
    }

    /// Adds a command to the batch.
    ///
    /// # Errors
    /// Why it is rejected; the batch is then unchanged.
    pub fn take(
        &mut self,
        building: &mut Building,
        work: LogCommand,
        receipts: &mut Receipts,
    ) -> Result<Durable, WriteError> {
        if self.unbegun && !building.pending.begun && !matches!(work, LogCommand::Begin { .. }) {
            let reason = "the log was opened, but the record that begins its new life cannot be written";
            return Err(WriteError::NotDurable(reason.to_owned()));
        }
        match work {
            LogCommand::Write { request, content, generation } => {
                self.write(building, request, (content, generation), receipts)
            }
            LogCommand::Change(change) => self.change(building, change),
            LogCommand::Import(import) => self.import(building, &import),
            LogCommand::Begin { life, rolled_back } => self.begin_life(building, life, rolled_back),
            LogCommand::Affiliate(belongs) => self.belong(building, belongs),
            LogCommand::Merge { records, piece, content } => {
                self.merge(building, &records, (&piece, content), receipts)
            }
            LogCommand::Collect(before) => {
                let hlc = self.clock.tick(building.now_ms);
                // Never include tombstones that follow in the log, whatever the caller's clock shows.
                let before = before.min(hlc);
                let pushed = self.push(building, hlc, Payload::Collect { before });
                let lsn = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
                Ok(Durable::Collect { before, lsn })
            }
        }
    }

    /// Returns the batch to append, and the value to pass to [`Sequencer::durable`] or [`Sequencer::failed`] afterwards. The next
    /// batch may be begun before that, and finished after it. An empty batch needs neither call.
    ///
    /// Returns `None` if the batch on which this one was built has failed: nothing of this one was accepted, and nothing in it may
    /// be acknowledged.
    pub fn finish(&mut self, building: Building, receipts: &mut Receipts) -> Option<(Batch, Pending)> {
        self.seal(building).map_err(|pending| take_back(&pending, receipts)).ok()
    }

    /// Numbers a batch. Returns what to undo if the batch on which it was built has failed.
    fn seal(&mut self, building: Building) -> Result<(Batch, Pending), Pending> {
        let Building { batch, mut pending, built_on, .. } = building;
        let stands = built_on.is_none_or(|number| number == self.durable);
        if !stands && !active(Mutation::BuildOnFailed) {
            return Err(pending);
        }
        if !batch.is_empty() {
            self.finished += 1;
            pending.number = self.finished;
            let known = pending.known.clone();
            self.under_way = Some(UnderWay { number: self.finished, end: batch.end(), known, begun: pending.begun });
        }
        Ok((batch, pending))
    }

    /// Notes that the batch is durable.
    pub fn durable(&mut self, pending: Pending) {
        self.known = pending.known;
        self.unbegun &= !pending.begun;
        self.durable = pending.number;
        self.under_way = None;
    }

    /// Notes that the batch could not be made durable: nothing of it was accepted.
    pub fn failed(&mut self, pending: &Pending, receipts: &mut Receipts) {
        self.under_way = None;
        take_back(pending, receipts);
    }

    /// Writes the affiliation of the log.
    fn belong(&mut self, building: &mut Building, belongs: Affiliation) -> Result<Durable, WriteError> {
        if building.pending.known.lives.belongs() == Some(belongs) {
            let at = Lsn(building.batch.next_lsn().0 - 1);
            return Ok(Durable::Before { first: at, last: at, duplicate: false });
        }
        let hlc = self.clock.tick(building.now_ms);
        let pushed = self.push(building, hlc, Payload::Belongs(belongs));
        let lsn = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        building.pending.known.belong(belongs);
        Ok(Durable::Affiliated { belongs, lsn })
    }

    /// Begins another life of the log.
    fn begin_life(
        &mut self,
        building: &mut Building,
        life: Incarnation,
        rolled_back: bool,
    ) -> Result<Durable, WriteError> {
        let first = building.batch.next_lsn();
        let before = building.pending.known.lives_of(self.region, self.imports.log);
        // In a rolled-back life two different records may have the same LSN: replicas are known to share only its first record.
        let shared = match rolled_back {
            true => before.starts().last().map_or(Lsn::NONE, |start| start.first),
            false => Lsn(first.0 - 1),
        };
        let hlc = self.clock.tick(building.now_ms);
        let after = before.current();
        let pushed = self.push(building, hlc, Payload::Begin { life, after, shared });
        pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        let start = Start { life, first, after, shared };
        Arc::make_mut(&mut building.pending.known.lives).entry(self.region, self.imports.log).begin(start);
        building.pending.begun = true;
        Ok(Durable::Begin { start })
    }

    /// Starts a new life of the log at once, with a record in a batch of its own, which `append` makes durable.
    ///
    /// # Errors
    /// [`WriteError::NotDurable`] with the error of `append`: the log is then unchanged.
    pub fn begin_now<E: ToString>(
        &mut self,
        bounds: &Bounds,
        life: Incarnation,
        now_ms: u64,
        append: impl FnOnce(Batch) -> Result<(), E>,
    ) -> Result<Lsn, WriteError> {
        let mut building = self.begin(Vec::new(), bounds, 0, now_ms);
        let durable = self.begin_life(&mut building, life, false)?;
        let sealed = self.seal(building);
        let (batch, pending) = sealed.map_err(|_| WriteError::NotDurable("an earlier batch failed".into()))?;
        if let Err(error) = append(batch) {
            self.under_way = None;
            return Err(WriteError::NotDurable(error.to_string()));
        }
        self.durable(pending);
        Ok(durable.range().1)
    }

    /// Returns the state as of the last durable record.
    #[must_use]
    pub const fn known(&self) -> &LogState {
        &self.known
    }

    fn write(
        &mut self,
        building: &mut Building,
        mut request: WriteRequest,
        (content, generation): (u64, u64),
        receipts: &mut Receipts,
    ) -> Result<Durable, WriteError> {
        if generation != building.pending.known.catalogue.generation {
            ingest::check(&self.limits, &building.pending.known.catalogue, &request, building.now_ms)?;
        }
        if let Some(key) = &request.idempotency_key {
            match receipts.look(key, content, building.now_ms) {
                receipts::KeyLookup::New => {}
                receipts::KeyLookup::Same(first, last) => return Ok(Durable::Before { first, last, duplicate: true }),
                receipts::KeyLookup::Other => return Err(WriteError::IdempotencyMismatch(key.clone())),
            }
        }
        if let Some(part) = request.part {
            self.check_part(building, part)?;
        }
        let now_ms = building.now_ms.max(self.clock.last().physical_ms());
        request.rows.restamp(EventTime::from_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)));
        let (named, origins) = (request.part, &building.pending.known.origins);
        let regions = || named.map_or_else(|| origins.regions(self.region), |part| vec![part]);
        match parts::rows_to_log(&building.pending.known.catalogue, &request.rows, regions) {
            Some(mut rows) => {
                request.rows.stamped().into_iter().for_each(|at| rows.stamp(at));
                request.rows = rows;
            }
            None if named.is_some() => {
                let reason = "the write names a part, but none of its views combines regions' parts; omit the part";
                return Err(WriteError::Invalid(reason.to_owned()));
            }
            None => {}
        }
        if let Some(table) = &self.table {
            deletion::outrank(&mut request.rows, table);
        }
        let mark = building.batch.mark();
        let first = building.batch.next_lsn();
        let pushed = self.push_rows(building, &request, content, first);
        if pushed.is_err() {
            building.batch.rewind(mark);
        }
        let (last, hlc) = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        if let Some(key) = &request.idempotency_key {
            receipts.insert(key, content, (first, last), self.clock.last());
            building.pending.keys.push((key.clone(), last));
        }
        Ok(Durable::Rows { request, first, last, hlc })
    }

    /// Rejects a part that no read would use.
    fn check_part(&self, building: &Building, part: Region) -> Result<(), WriteError> {
        let known = building.pending.known.origins.regions(self.region);
        if known.contains(&part) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(Region::as_str).collect();
        let reason = format!("the part '{part}' is not the name of a known region; known are {}", known.join(", "));
        Err(WriteError::Invalid(reason))
    }

    /// Adds the rows and the receipt. Returns the last row's LSN and the first row's clock reading; the following rows' readings
    /// ascend by one.
    fn push_rows(
        &mut self,
        building: &mut Building,
        request: &WriteRequest,
        content: u64,
        first: Lsn,
    ) -> Result<(Lsn, Hlc), PushError> {
        let mut first_hlc = None;
        let mut last = first;
        for row in request.rows.iter() {
            let hlc = self.clock.tick(building.now_ms);
            first_hlc.get_or_insert(hlc);
            let payload = match row.body {
                Some(body) => Payload::Row { view: row.view, event_time: row.event_time, key: row.key, body },
                None => Payload::Tombstone { view: row.view, event_time: row.event_time, key: row.key },
            };
            last = self.push(building, hlc, payload)?;
        }
        if let Some(idempotency_key) = &request.idempotency_key {
            let hlc = self.clock.tick(building.now_ms);
            self.push(building, hlc, Payload::Receipt { idempotency_key, content, first, last })?;
        }
        Ok((last, first_hlc.unwrap_or_default()))
    }

    /// Merges records that the log has lost. They keep their clock readings, and so their versions.
    fn merge(
        &mut self,
        building: &mut Building,
        records: &[u8],
        (piece, content): (&str, u64),
        receipts: &mut Receipts,
    ) -> Result<Durable, WriteError> {
        match receipts.look(piece, content, building.now_ms) {
            receipts::KeyLookup::New => {}
            receipts::KeyLookup::Same(first, last) => return Ok(Durable::Before { first, last, duplicate: true }),
            receipts::KeyLookup::Other => return Err(WriteError::IdempotencyMismatch(piece.to_owned())),
        }
        let mark = building.batch.mark();
        let first = building.batch.next_lsn();
        let pushed = self.push_merged(building, records, (piece, content), first);
        if pushed.is_err() {
            building.batch.rewind(mark);
        }
        let last = pushed?;
        receipts.insert(piece, content, (first, last), self.clock.last());
        building.pending.keys.push((piece.to_owned(), last));
        Ok(Durable::Import { records: Bytes::copy_from_slice(building.batch.since(mark)), first, last })
    }

    fn push_merged(
        &mut self,
        building: &mut Building,
        records: &[u8],
        (piece, content): (&str, u64),
        first: Lsn,
    ) -> Result<Lsn, WriteError> {
        let invalid =
            |error: &dyn std::fmt::Display| WriteError::Invalid(format!("the tail cannot be merged: {error}"));
        let known: std::collections::HashSet<_> =
            building.pending.known.catalogue.views().map(|view| view.id).collect();
        for record in littoral_wire::records::iter(records) {
            let record = record.map_err(|error| invalid(&error))?;
            let view = match &record.payload {
                Payload::Row { view, .. } | Payload::Tombstone { view, .. } => *view,
                _ => continue,
            };
            // Other regions' records arrive again with their feeds; a view that was dropped has no rows.
            if record.origin != self.region || !known.contains(&view) {
                continue;
            }
            let (now_ms, drift_max) = (building.now_ms, self.imports.clock_drift_ms_max);
            self.clock.observe(record.hlc, now_ms, drift_max).map_err(|drift| invalid(&drift))?;
            self.push(building, record.hlc, record.payload).map_err(|error| invalid(&error))?;
        }
        // The receipt ensures that a repetition changes nothing, even if a view's policy adds values.
        let hlc = self.clock.tick(building.now_ms);
        let last = building.batch.next_lsn();
        let receipt = Payload::Receipt { idempotency_key: piece, content, first, last };
        self.push(building, hlc, receipt).map_err(|error| invalid(&error))
    }

    fn change(&mut self, building: &mut Building, change: CatalogueChange) -> Result<Durable, WriteError> {
        let Some(change) = building.pending.known.catalogue.prepare(change)? else {
            let at = Lsn(building.batch.next_lsn().0 - 1);
            return Ok(Durable::Before { first: at, last: at, duplicate: false });
        };
        let hlc = self.clock.tick(building.now_ms);
        let lsn = self
            .push(building, hlc, Payload::Catalogue(Box::new(change.clone())))
            .map_err(|error| WriteError::Invalid(error.to_string()))?;
        Arc::make_mut(&mut building.pending.known.catalogue).apply(&change);
        Ok(Durable::Change { change, lsn })
    }

    fn push(&self, building: &mut Building, hlc: Hlc, payload: Payload<'_>) -> Result<Lsn, PushError> {
        let lsn = building.batch.next_lsn();
        self.push_of(building, (self.region, lsn), hlc, payload)
    }

    /// Adds a record of an origin, with its LSN there.
    pub(crate) fn push_of(
        &self,
        building: &mut Building,
        (origin, origin_lsn): (Region, Lsn),
        hlc: Hlc,
        payload: Payload<'_>,
    ) -> Result<Lsn, PushError> {
        let (lsn, epoch) = (building.batch.next_lsn(), self.epoch);
        building.batch.push(Record { lsn, epoch, origin, origin_lsn, hlc, chain: ChainHash::GENESIS, payload })?;
        Ok(lsn)
    }
}

/// Removes the receipts of a batch that failed.
fn take_back(pending: &Pending, receipts: &mut Receipts) {
    if active(Mutation::KeepFailedReceipts) {
        return;
    }
    pending.keys.iter().for_each(|(key, last)| receipts.remove(key, *last));
}
