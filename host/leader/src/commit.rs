//! The commit thread: gives writes their versions and numbers, and makes them durable in groups.
//!
//! One batch is built, appended with one fsync, and handed to the apply thread; the next one gathers in the queue during
//! the fsync. What a batch changes here (catalogue, idempotency keys) is taken back when the append fails.

use crate::{
    apply::{Committed, Done},
    ingest,
    receipts::Known,
    shared::{Reply, Shared, Submission, Work},
};
use littoral_log::{AppendError, Batch};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    hlc::{Hlc, HlcClock},
    position::Lsn,
    record::{ChainHash, Payload, Record},
    write::{WriteError, WriteRequest},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc::SyncSender},
    thread::Thread,
    time::Instant,
};

/// Bytes appended between two nudges of the maintenance thread.
const NUDGE_EVERY: u64 = 1 << 20;

/// Room in a batch beyond what is expected, so that it is not moved to a larger place for its last records.
const BATCH_SPARE: usize = 4 << 10;

/// Batches of this many bytes use buffers again.
const LARGE_BATCH: usize = 32 << 10;

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: HlcClock,
    /// As of the last record that is durable, applied or not.
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) apply: SyncSender<Committed>,
    pub(crate) maintenance: Thread,
}

/// A batch in the making, and all that must be taken back should it fail.
struct Building {
    batch: Batch,
    done: Vec<Done>,
    catalogue: Arc<Catalogue>,
    keys: Vec<(String, Lsn)>,
    now_ms: u64,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut taken = Vec::new();
        let mut unnoticed = 0;
        while let Some(bytes_taken) = self.shared.queue.take(&mut taken, self.shared.config.batch_bytes_max) {
            metrics::gauge!("littoral_leader_queue_depth").set(self.shared.queue.len() as f64);
            let bounds = self.shared.log.bounds();
            let large = bytes_taken >= LARGE_BATCH;
            let buffer = if large { self.shared.log.spare_buffer() } else { Vec::new() };
            let mut building = Building {
                batch: Batch::within(buffer, &bounds, self.shared.epoch, bytes_taken + BATCH_SPARE),
                done: Vec::with_capacity(taken.len()),
                catalogue: self.catalogue.clone(),
                keys: Vec::new(),
                now_ms: self.shared.now_ms(),
            };
            for submission in taken.drain(..) {
                self.take(&mut building, submission);
            }
            let bytes = building.batch.bytes_len() as u64;
            if !self.commit(building) {
                return;
            }
            unnoticed += bytes;
            if unnoticed >= NUDGE_EVERY {
                unnoticed = 0;
                self.maintenance.unpark();
            }
        }
    }

    fn take(&mut self, building: &mut Building, Submission { work, reply }: Submission) {
        match work {
            Work::Write { request, content, generation } => match self.write(building, &request, content, generation) {
                Ok(Taken::New { first, last, hlc }) => {
                    building.done.push(Done::Rows { request, first, last, hlc, reply });
                }
                Ok(Taken::Before { first, last }) => {
                    let receipt = self.shared.receipt(first, last, true);
                    building.done.push(Done::Nothing { receipt, reply });
                }
                Err(error) => refuse(reply, error),
            },
            Work::Change(change) => match self.change(building, change) {
                Ok(Some((change, lsn))) => building.done.push(Done::Change { change, lsn, reply }),
                Ok(None) => {
                    let at = Lsn(building.batch.next_lsn().0 - 1);
                    let receipt = self.shared.receipt(at, at, false);
                    building.done.push(Done::Nothing { receipt, reply });
                }
                Err(error) => refuse(reply, error),
            },
            Work::Collect(before) => {
                let hlc = self.clock.tick(building.now_ms);
                // Tombstones that follow in the log are not meant, whatever the caller's clock says.
                let before = before.min(hlc);
                match self.push(building, hlc, Payload::Collect { before }) {
                    Ok(lsn) => building.done.push(Done::Collect { before, lsn, reply }),
                    Err(error) => refuse(reply, WriteError::Invalid(error.to_string())),
                }
            }
            Work::Prove(task) => building.done.push(Done::Prove { task, reply }),
        }
    }

    fn write(
        &mut self,
        building: &mut Building,
        request: &WriteRequest,
        content: u64,
        generation: u64,
    ) -> Result<Taken, WriteError> {
        if generation != building.catalogue.generation {
            ingest::check(&self.shared.config, &building.catalogue, request, building.now_ms)?;
        }
        if let Some(key) = &request.idempotency_key {
            match self.shared.receipts.lock().look(key, content, building.now_ms) {
                Known::New => {}
                Known::Same(first, last) => return Ok(Taken::Before { first, last }),
                Known::Other => return Err(WriteError::IdempotencyMismatch(key.clone())),
            }
        }
        let mark = building.batch.mark();
        let first = building.batch.next_lsn();
        let pushed = self.push_rows(building, request, content, first);
        if pushed.is_err() {
            building.batch.rewind(mark);
        }
        let (last, hlc) = pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        if let Some(key) = &request.idempotency_key {
            self.shared.receipts.lock().insert(key, content, (first, last), self.clock.last());
            building.keys.push((key.clone(), last));
        }
        Ok(Taken::New { first, last, hlc })
    }

    /// Pushes the rows and the receipt. Returns the last row's number and the first row's clock reading: those of the
    /// others follow by one each, as all are read at one time.
    fn push_rows(
        &mut self,
        building: &mut Building,
        request: &WriteRequest,
        content: u64,
        first: Lsn,
    ) -> Result<(Lsn, Hlc), AppendError> {
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

    fn change(
        &mut self,
        building: &mut Building,
        change: CatalogueChange,
    ) -> Result<Option<(CatalogueChange, Lsn)>, WriteError> {
        let Some(change) = building.catalogue.prepare(change)? else { return Ok(None) };
        let hlc = self.clock.tick(building.now_ms);
        let lsn = self
            .push(building, hlc, Payload::Catalogue(Box::new(change.clone())))
            .map_err(|error| WriteError::Invalid(error.to_string()))?;
        Arc::make_mut(&mut building.catalogue).apply(&change);
        Ok(Some((change, lsn)))
    }

    fn push(&self, building: &mut Building, hlc: Hlc, payload: Payload<'_>) -> Result<Lsn, AppendError> {
        let lsn = building.batch.next_lsn();
        building.batch.push(Record {
            lsn,
            epoch: self.shared.epoch,
            origin: self.shared.identity.region,
            origin_lsn: lsn,
            hlc,
            chain: ChainHash::GENESIS,
            payload,
        })?;
        Ok(lsn)
    }

    /// Appends, and hands on what is durable. False when the apply thread is gone.
    fn commit(&mut self, building: Building) -> bool {
        let Building { batch, done, catalogue, keys, .. } = building;
        if batch.is_empty() {
            return done.is_empty() || self.apply.send(Committed { head: None, done }).is_ok();
        }
        let (records, bytes) = (batch.len(), batch.bytes_len());
        let begun = Instant::now();
        match self.shared.log.append(batch) {
            Ok(_) => {
                metrics::histogram!("littoral_leader_append_seconds").record(begun.elapsed().as_secs_f64());
                metrics::histogram!("littoral_leader_batch_records").record(records as f64);
                metrics::counter!("littoral_leader_log_bytes_total").increment(bytes as u64);
                self.shared.commits.fetch_add(1, Relaxed);
                self.shared.appended_bytes.fetch_add(bytes as u64, Relaxed);
                self.catalogue = catalogue;
                if self.shared.trouble.lock().take().is_some() {
                    tracing::info!("the log takes writes again");
                }
                let bounds = self.shared.log.bounds();
                let head = Some((bounds.tail, bounds.chain, bounds.hlc));
                self.apply.send(Committed { head, done }).is_ok()
            }
            Err(error) => {
                let mut receipts = self.shared.receipts.lock();
                keys.iter().for_each(|(key, last)| receipts.remove(key, *last));
                drop(receipts);
                self.refuse_all(&error, done);
                true
            }
        }
    }

    fn refuse_all(&self, error: &AppendError, done: Vec<Done>) {
        let reason = error.to_string();
        if self.shared.trouble.lock().replace(reason.clone()).is_none() {
            tracing::error!(error = reason, "the log refuses writes; reads go on, and every write tries it again");
        }
        for done in done {
            let reply = match done {
                Done::Rows { reply, .. }
                | Done::Change { reply, .. }
                | Done::Collect { reply, .. }
                | Done::Prove { reply, .. }
                | Done::Nothing { reply, .. } => reply,
            };
            refuse(reply, WriteError::NotDurable(reason.clone()));
        }
    }
}

enum Taken {
    New { first: Lsn, last: Lsn, hlc: Hlc },
    Before { first: Lsn, last: Lsn },
}

fn refuse(reply: Reply, error: WriteError) {
    metrics::counter!("littoral_leader_writes_refused_total").increment(1);
    // Nobody may be waiting any more.
    let _ = reply.send(Err(error));
}
