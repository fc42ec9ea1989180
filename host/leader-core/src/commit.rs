//! Sequences writes into batches for the log: assigns versions and LSNs, recognizes retries, and undoes everything if a
//! batch fails.

mod command;
mod records;

pub use command::{CommandEffect, LogCommand};

use crate::{import::Imports, ingest::Limits, log_state::LogState, projects, receipts::Receipts};
use littoral_model::{
    format::ProtocolVersion,
    hlc::{Hlc, HlcClock},
    lineage::RegionLineages,
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn},
    record::{ChainHash, Payload, Record},
    region::Region,
    write::WriteError,
};
use littoral_replica::Table;
use littoral_wire::batch::{Batch, Bounds, PushError};
use std::sync::Arc;

/// The log to which records are appended.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Its region.
    pub region: Region,
    /// The epoch of new records.
    pub epoch: Epoch,
}

/// Assigns writes their place in the log. It serves one caller at a time.
#[derive(Debug)]
pub struct Sequencer {
    pub(crate) region: Region,
    epoch: Epoch,
    /// The newest protocol version that it logs.
    version: ProtocolVersion,
    limits: Limits,
    pub(crate) clock: HlcClock,
    /// The state as of the last durable record, applied or not.
    known: LogState,
    pub(crate) imports: Imports,
    /// The applied rows, which deletions without an event time must outrank.
    table: Option<Arc<Table>>,
    /// Whether the log was opened and the `Begin` of its new life is not written yet. Until then every other command is
    /// rejected.
    unbegun: bool,
}

/// A batch under construction, and everything to undo if it fails.
#[derive(Debug)]
pub struct Building {
    pub(crate) batch: Batch,
    pub(crate) effects: BatchEffects,
    pub(crate) now_ms: u64,
    /// What its writes add to projects that have quotas.
    added: projects::Added,
    /// The memory that its writes add, in bytes.
    added_bytes: u64,
}

/// The changes that take effect when a batch becomes durable, and what to undo otherwise.
#[derive(Debug)]
pub struct BatchEffects {
    pub(crate) known: LogState,
    /// Whether another life begins in it.
    begun: bool,
    /// The idempotency keys of its writes, each with the last record of the write.
    keys: Vec<(String, Lsn)>,
}

impl Building {
    /// Returns the batch to append, and its effects. After the append, pass the effects to [`Sequencer::durable`], or
    /// call [`BatchEffects::undo`] if it failed, before the next batch is begun. An empty batch needs neither call.
    #[must_use]
    pub fn finish(self) -> (Batch, BatchEffects) {
        (self.batch, self.effects)
    }
}

impl BatchEffects {
    /// Undoes what the batch has changed, because it could not be made durable: nothing of it was accepted, and its
    /// idempotency keys are free again.
    pub fn undo(self, receipts: &mut Receipts) {
        if active(Mutation::KeepFailedReceipts) {
            return;
        }
        self.keys.iter().for_each(|(key, last)| receipts.remove(key, *last));
    }
}

impl Sequencer {
    /// Creates a sequencer that continues after the recovered state.
    #[must_use]
    pub fn new(Owner { region, epoch }: Owner, limits: Limits, clock: HlcClock, known: LogState) -> Self {
        let (version, imports) = (ProtocolVersion::NEWEST, Imports::default());
        Self { region, epoch, version, limits, clock, known, imports, table: None, unbegun: false }
    }

    /// Sets the table of applied rows: a deletion without an event time outranks the rows in it.
    #[must_use]
    pub fn over(self, table: Arc<Table>) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Sets the newest protocol version that it logs.
    #[must_use]
    pub fn logging(self, version: ProtocolVersion) -> Self {
        Self { version, ..self }
    }

    /// Sets how other regions' records are imported.
    #[must_use]
    pub fn importing(self, imports: Imports) -> Self {
        Self { imports, ..self }
    }

    /// Sets whether the log was just opened by its only member. If so, another life must begin first, with
    /// [`LogCommand::Begin`].
    #[must_use]
    pub fn unbegun(self, unbegun: bool) -> Self {
        Self { unbegun, ..self }
    }

    /// Returns whether another life must begin before anything else is accepted.
    #[must_use]
    pub const fn is_unbegun(&self) -> bool {
        self.unbegun
    }

    /// Returns the newest protocol version that it logs. No record of a later version may be pushed.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Returns the epoch of new records.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Starts to lead in this epoch. `last` is the newest clock reading in the log. `lineages` has the log's own lives,
    /// including those that began past the applied position. The caller must add [`LogCommand::Begin`] first, and
    /// nothing else before [`Sequencer::open`].
    pub fn lead(&mut self, epoch: Epoch, last: Hlc, lineages: RegionLineages) {
        self.epoch = epoch;
        self.known.lineages = Arc::new(lineages);
        self.clock = HlcClock::after(self.clock.last().max(last));
    }

    /// Notes that all earlier records are applied: from now on, writes are checked against this state.
    pub fn open(&mut self, known: LogState) {
        self.known = known;
    }

    /// Begins a batch that follows the log's tail. Uses the given buffer, with room for `bytes` bytes.
    #[must_use]
    pub fn begin(&self, buffer: Vec<u8>, bounds: &Bounds, bytes: usize, now_ms: u64) -> Building {
        let effects = BatchEffects { known: self.known.clone(), begun: false, keys: Vec::new() };
        let (batch, added) = (Batch::within(buffer, bounds, self.epoch, bytes), projects::Added::default());
        Building { batch, effects, now_ms, added, added_bytes: 0 }
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
    ) -> Result<CommandEffect, WriteError> {
        if self.unbegun && !building.effects.begun && !matches!(work, LogCommand::Begin { .. }) {
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
                Ok(CommandEffect::Collect { before, lsn })
            }
        }
    }

    /// Notes that the batch is durable.
    pub fn durable(&mut self, effects: BatchEffects) {
        self.known = effects.known;
        self.unbegun &= !effects.begun;
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
        let begin = self.begin_life(&mut building, life, false)?;
        let (batch, effects) = building.finish();
        append(batch).map_err(|error| WriteError::NotDurable(error.to_string()))?;
        self.durable(effects);
        Ok(begin.records().last)
    }

    /// Returns the state as of the last durable record.
    #[must_use]
    pub const fn known(&self) -> &LogState {
        &self.known
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
        let (needs, version) = (payload.since(), self.version);
        if needs > version {
            return Err(PushError::Version { needs, version });
        }
        let (lsn, epoch) = (building.batch.next_lsn(), self.epoch);
        building.batch.push(Record { lsn, epoch, origin, origin_lsn, hlc, chain: ChainHash::GENESIS, payload })?;
        Ok(lsn)
    }
}
