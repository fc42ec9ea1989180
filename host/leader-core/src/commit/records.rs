//! Turns each command into records of a batch.

use super::{Building, CommandEffect, Sequencer};
use crate::{
    deletion, ingest, memory, projects,
    receipts::{self, Receipts},
};
use bytes::Bytes;
use littoral_model::{
    catalogue::CatalogueChange,
    cluster::Affiliation,
    event_time::EventTime,
    hlc::Hlc,
    lineage::Start,
    parts,
    position::{Incarnation, Lsn},
    project::plain_key,
    record::Payload,
    region::Region,
    write::{WriteError, WriteRequest},
};
use littoral_wire::batch::PushError;
use std::sync::Arc;

impl Sequencer {
    /// Writes the affiliation of the log.
    pub(super) fn belong(
        &mut self,
        building: &mut Building,
        belongs: Affiliation,
    ) -> Result<CommandEffect, WriteError> {
        if building.effects.known.lineages.belongs() == Some(belongs) {
            let at = Lsn(building.batch.next_lsn().0 - 1);
            return Ok(CommandEffect::Before { first: at, last: at, duplicate: false });
        }
        let hlc = self.clock.tick(building.now_ms);
        let pushed = self.push(building, hlc, Payload::Belongs(belongs));
        let lsn = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        building.effects.known.belong(belongs);
        Ok(CommandEffect::Affiliated { belongs, lsn })
    }

    /// Begins another life of the log.
    pub(super) fn begin_life(
        &mut self,
        building: &mut Building,
        life: Incarnation,
        rolled_back: bool,
    ) -> Result<CommandEffect, WriteError> {
        let first = building.batch.next_lsn();
        let before = building.effects.known.lineage_of(self.region, self.imports.log);
        // In a rolled-back life two different records may have the same LSN: replicas are known to share only its first
        // record.
        let shared = match rolled_back {
            true => before.starts().last().map_or(Lsn::NONE, |start| start.first),
            false => Lsn(first.0 - 1),
        };
        let hlc = self.clock.tick(building.now_ms);
        let after = before.current();
        let pushed = self.push(building, hlc, Payload::Begin { life, after, shared });
        pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        let start = Start { life, first, after, shared };
        Arc::make_mut(&mut building.effects.known.lineages).entry(self.region, self.imports.log).begin(start);
        building.effects.begun = true;
        Ok(CommandEffect::Begin { start })
    }

    /// Adds a write's rows and, if it has an idempotency key, its receipt. Validates the write again if the catalogue
    /// has changed since it was checked.
    pub(super) fn write(
        &mut self,
        building: &mut Building,
        mut request: WriteRequest,
        (content, generation): (u64, u64),
        receipts: &mut Receipts,
    ) -> Result<CommandEffect, WriteError> {
        if generation != building.effects.known.catalogue.generation {
            ingest::check(&self.limits, &building.effects.known.catalogue, &request, building.now_ms)?;
        }
        if let Some(key) = &request.idempotency_key {
            match receipts.look(key, content, building.now_ms) {
                receipts::KeyLookup::New => {}
                receipts::KeyLookup::Same(first, last) => {
                    return Ok(CommandEffect::Before { first, last, duplicate: true });
                }
                receipts::KeyLookup::Other => {
                    return Err(WriteError::IdempotencyMismatch(plain_key(key).to_owned()));
                }
            }
        }
        if let Some(part) = request.part {
            self.check_part(building, part)?;
        }
        let now_ms = building.now_ms.max(self.clock.last().physical_ms());
        request.rows.restamp(EventTime::from_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)));
        let (named, origins) = (request.part, &building.effects.known.origins);
        let regions = || named.map_or_else(|| origins.regions(self.region), |part| vec![part]);
        match parts::rows_to_log(&building.effects.known.catalogue, &request.rows, regions) {
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
        let adds =
            memory::check(self.limits.rows_bytes_max, self.table.as_deref(), &request.rows, building.added_bytes)?;
        let catalogue = &building.effects.known.catalogue;
        projects::check(catalogue, self.region, self.table.as_deref(), &request.rows, &mut building.added)?;
        building.added_bytes = building.added_bytes.saturating_add(adds);
        let mark = building.batch.mark();
        let first = building.batch.next_lsn();
        let pushed = self.push_rows(building, &request, content, first);
        if pushed.is_err() {
            building.batch.rewind(mark);
        }
        let (last, hlc) = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        if let Some(key) = &request.idempotency_key {
            receipts.insert(key, content, (first, last), self.clock.last());
            building.effects.keys.push((key.clone(), last));
        }
        Ok(CommandEffect::Rows { request, first, last, hlc })
    }

    /// Rejects a part that no read would use.
    fn check_part(&self, building: &Building, part: Region) -> Result<(), WriteError> {
        let known = building.effects.known.origins.regions(self.region);
        if known.contains(&part) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(Region::as_str).collect();
        let reason = format!("the part '{part}' is not the name of a known region; known are {}", known.join(", "));
        Err(WriteError::Invalid(reason))
    }

    /// Adds the rows and the receipt. Returns the last row's LSN and the first row's clock reading; the following rows'
    /// readings ascend by one.
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
    pub(super) fn merge(
        &mut self,
        building: &mut Building,
        records: &[u8],
        (piece, content): (&str, u64),
        receipts: &mut Receipts,
    ) -> Result<CommandEffect, WriteError> {
        match receipts.look(piece, content, building.now_ms) {
            receipts::KeyLookup::New => {}
            receipts::KeyLookup::Same(first, last) => {
                return Ok(CommandEffect::Before { first, last, duplicate: true });
            }
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
        building.effects.keys.push((piece.to_owned(), last));
        Ok(CommandEffect::Import { records: Bytes::copy_from_slice(building.batch.since(mark)), first, last })
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
            building.effects.known.catalogue.views().map(|view| view.id).collect();
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

    /// Adds a catalogue change, unless it would have no effect.
    pub(super) fn change(
        &mut self,
        building: &mut Building,
        change: CatalogueChange,
    ) -> Result<CommandEffect, WriteError> {
        let Some(change) = building.effects.known.catalogue.prepare(change)? else {
            let at = Lsn(building.batch.next_lsn().0 - 1);
            return Ok(CommandEffect::Before { first: at, last: at, duplicate: false });
        };
        let hlc = self.clock.tick(building.now_ms);
        let lsn = self
            .push(building, hlc, Payload::Catalogue(Box::new(change.clone())))
            .map_err(|error| WriteError::Invalid(error.to_string()))?;
        Arc::make_mut(&mut building.effects.known.catalogue).apply(&change);
        Ok(CommandEffect::Change { change, lsn })
    }
}
