//! Writes on their way into the log: their versions and numbers, retries, and what is taken back when a batch fails.
//!
//! While one batch is on its way to the disk, the next one may be built on it already: with the numbers, the chain, the
//! catalogue and the receipts that hold should it arrive. When it does not, the one that was built on it is refused too.

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

/// What is asked of the log.
#[derive(Debug)]
pub enum LogCommand {
    /// A write that was checked against the catalogue of this generation; `content` is its hash.
    Write {
        /// The rows.
        request: WriteRequest,
        /// [`crate::receipts::content_hash`] when the write has an idempotency key.
        content: u64,
        /// Of the catalogue that it was checked against.
        generation: u64,
    },
    /// A change of the catalogue.
    Change(CatalogueChange),
    /// Tombstones of older writes are to be collected, by everybody at one record.
    Collect(Hlc),
    /// Another region's records.
    Import(Import),
    /// Another life of the log begins, with this record.
    Begin {
        /// A random number that names it.
        life: Incarnation,
        /// Whether the log was found to have been put back to an older copy while its process ran.
        rolled_back: bool,
    },
    /// Where the log belongs from now on.
    Affiliate(Affiliation),
    /// Rows and deletions that this region had taken before and that its log has lost: under their old versions, as if they had come
    /// late.
    Merge {
        /// The records, encoded as in a log. What is no row and no deletion is left out.
        records: Bytes,
        /// An idempotency key: which piece of which log this is.
        piece: String,
        /// [`crate::receipts::bytes_hash`] of the records.
        content: u64,
    },
}

/// What work leads to once its batch is durable.
#[derive(Debug)]
pub enum Durable {
    /// Rows to apply. Their numbers and clock readings follow from the first's by one each.
    Rows {
        /// Them.
        request: WriteRequest,
        /// The first row's number.
        first: Lsn,
        /// The last row's.
        last: Lsn,
        /// The first row's clock reading.
        hlc: Hlc,
    },
    /// A change to apply.
    Change {
        /// As it stands in the log.
        change: CatalogueChange,
        /// Its record.
        lsn: Lsn,
    },
    /// Tombstones to collect.
    Collect {
        /// Of writes older than this.
        before: Hlc,
        /// The record that says so.
        lsn: Lsn,
    },
    /// Another region's records, to apply one by one.
    Import {
        /// As they stand in this log.
        records: Bytes,
        /// The first.
        first: Lsn,
        /// The last.
        last: Lsn,
    },
    /// Another life of the log.
    Begin {
        /// Where it begins: at the record that says so.
        start: Start,
    },
    /// Where the log belongs from now on.
    Affiliated {
        /// It.
        belongs: Affiliation,
        /// The record that says so.
        lsn: Lsn,
    },
    /// Nothing new: what was asked for stands in the log already, or in this batch or one before it, and is to be answered
    /// in its turn.
    Before {
        /// The first record of what was asked for.
        first: Lsn,
        /// The last.
        last: Lsn,
        /// Whether it is a retry.
        duplicate: bool,
    },
}

impl Durable {
    /// The records that an answer speaks of, and whether it is that of a retry.
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

/// The log that records are appended to.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Its region.
    pub region: Region,
    /// The epoch that records are given.
    pub epoch: Epoch,
}

/// Gives writes their place in the log. It is for one caller at a time.
#[derive(Debug)]
pub struct Sequencer {
    pub(crate) region: Region,
    epoch: Epoch,
    limits: Limits,
    pub(crate) clock: HlcClock,
    /// As of the last record that is durable, applied or not.
    known: LogState,
    pub(crate) imports: Imports,
    /// The rows as they are applied, for deletions that must outrank them.
    table: Option<Arc<Table>>,
    /// The log was opened, and the life of it that began with that is not written down yet: nothing else is taken before.
    unbegun: bool,
    /// Batches that were finished so far: the number of the newest.
    finished: u64,
    /// The number of the newest batch that is durable.
    durable: u64,
    /// The batch that is on its way to the disk.
    under_way: Option<UnderWay>,
}

/// What holds should the batch that is on its way to the disk arrive.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    end: Bounds,
    known: LogState,
    begun: bool,
}

/// A batch in the making, and all that must be taken back should it fail.
#[derive(Debug)]
pub struct Building {
    pub(crate) batch: Batch,
    pub(crate) pending: Pending,
    pub(crate) now_ms: u64,
    /// The batch that it was built on before that one was durable.
    built_on: Option<u64>,
}

/// What a batch changes when it is durable, and what is taken back when it is not.
#[derive(Debug)]
pub struct Pending {
    pub(crate) known: LogState,
    /// Whether another life begins in it, or in the one that it is built on.
    begun: bool,
    keys: Vec<(String, Lsn)>,
    number: u64,
}

impl Building {
    /// Bytes of its records.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.batch.bytes_len()
    }
}

impl Sequencer {
    /// A committer that goes on after what was recovered.
    #[must_use]
    pub fn new(Owner { region, epoch }: Owner, limits: Limits, clock: HlcClock, known: LogState) -> Self {
        let (imports, table, under_way) = (Imports::default(), None, None);
        let (finished, durable) = (0, 0);
        Self { region, epoch, limits, clock, known, imports, table, unbegun: false, finished, durable, under_way }
    }

    /// Where rows are applied: a deletion without a time outranks those that it finds there.
    #[must_use]
    pub fn over(self, table: Arc<Table>) -> Self {
        Self { table: Some(table), ..self }
    }

    /// How other regions' records are to be taken.
    #[must_use]
    pub fn importing(self, imports: Imports) -> Self {
        Self { imports, ..self }
    }

    /// The log was opened by who keeps it alone: before anything else another life of it begins, with [`LogCommand::Begin`].
    #[must_use]
    pub fn unbegun(self, unbegun: bool) -> Self {
        Self { unbegun, ..self }
    }

    /// Whether another life must begin before anything else is taken.
    #[must_use]
    pub const fn is_unbegun(&self) -> bool {
        self.unbegun
    }

    /// The epoch that records are given.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Leads in this epoch from now on, behind a log whose newest clock reading is `last` and which has these `lives`, also those that
    /// began past what is applied. The first record is to be [`LogCommand::Begin`]; everything else waits for [`Sequencer::open`].
    pub fn lead(&mut self, epoch: Epoch, last: Hlc, lives: RegionLineages) {
        self.epoch = epoch;
        self.known.lives = Arc::new(lives);
        self.clock = HlcClock::after(self.clock.last().max(last));
    }

    /// Everything before is applied: that is what writes are checked against from now on.
    pub fn open(&mut self, known: LogState) {
        self.known = known;
    }

    /// Begins a batch that follows the log's tail, or the batch that is on its way there; within a buffer that is used
    /// again, with room for so many bytes.
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

    /// Takes work into the batch.
    ///
    /// # Errors
    /// Why it is refused; the batch is as before.
    pub fn take(
        &mut self,
        building: &mut Building,
        work: LogCommand,
        receipts: &mut Receipts,
    ) -> Result<Durable, WriteError> {
        if self.unbegun && !building.pending.begun && !matches!(work, LogCommand::Begin { .. }) {
            let reason = "the log was opened, and the record that says so cannot be written";
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
                // Tombstones that follow in the log are not meant, whatever the caller's clock says.
                let before = before.min(hlc);
                let pushed = self.push(building, hlc, Payload::Collect { before });
                let lsn = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
                Ok(Durable::Collect { before, lsn })
            }
        }
    }

    /// The batch to append, and what to give to [`Sequencer::durable`] or [`Sequencer::failed`] afterwards. The next batch
    /// may be begun meanwhile, and finished when it is known what became of this one. An empty batch needs neither.
    ///
    /// `None` when the batch that it was built on has failed: nothing of it was taken, and nobody may be answered from it.
    pub fn finish(&mut self, building: Building, receipts: &mut Receipts) -> Option<(Batch, Pending)> {
        self.seal(building).map_err(|pending| take_back(&pending, receipts)).ok()
    }

    /// Numbers a batch. Returns what is to be taken back when the batch that it was built on has failed.
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

    /// The batch is durable.
    pub fn durable(&mut self, pending: Pending) {
        self.known = pending.known;
        self.unbegun &= !pending.begun;
        self.durable = pending.number;
        self.under_way = None;
    }

    /// The batch could not be made durable: nothing of it was taken.
    pub fn failed(&mut self, pending: &Pending, receipts: &mut Receipts) {
        self.under_way = None;
        take_back(pending, receipts);
    }

    /// Writes down where the log belongs.
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
        // Of a life that was put back while it ran, two records may bear one number: only its first is known to all alike.
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
    /// [`WriteError::NotDurable`] with the error of `append`: the log is then as before.
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
        let (batch, pending) = sealed.map_err(|_| WriteError::NotDurable("a batch before it failed".into()))?;
        if let Err(error) = append(batch) {
            self.under_way = None;
            return Err(WriteError::NotDurable(error.to_string()));
        }
        self.durable(pending);
        Ok(durable.range().1)
    }

    /// What is known as of the last record that is durable.
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
                let reason = "a part is named, and no view of the write combines regions' parts: leave it out";
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

    /// Refuses a part that nobody would read.
    fn check_part(&self, building: &Building, part: Region) -> Result<(), WriteError> {
        let known = building.pending.known.origins.regions(self.region);
        if known.contains(&part) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(Region::as_str).collect();
        let reason = format!("the part '{part}' is no region's that is known here; known are {}", known.join(", "));
        Err(WriteError::Invalid(reason))
    }

    /// Pushes the rows and the receipt. Returns the last row's number and the first row's clock reading: those of the
    /// others follow by one each, as all are read at one time.
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

    /// Takes back what the log has lost. The records keep their clock readings, and so their versions.
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
            // Records of other regions come again with their feeds; a view that was dropped since has no rows.
            if record.origin != self.region || !known.contains(&view) {
                continue;
            }
            let (now_ms, drift_max) = (building.now_ms, self.imports.clock_drift_ms_max);
            self.clock.observe(record.hlc, now_ms, drift_max).map_err(|drift| invalid(&drift))?;
            self.push(building, record.hlc, record.payload).map_err(|error| invalid(&error))?;
        }
        // So that a second time changes nothing, also when the policy of a view adds up.
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

    /// Pushes a record of an origin, under its number there.
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
