//! Appending, beginning segments, and trimming.

use super::{Embedded, Prepared, Writer};
use crate::{
    backend::{Batch, Retention},
    block::{self, Broken, Run},
    cache::Entry,
    error::{AppendError, ReadError, is_no_space},
    frame::{self, HEADER_LEN},
    scan::Expected,
    segment::{self, Segment},
    storage::{Room, TEMPORARY},
};
use bytes::Bytes;
use littoral_model::mutation::{Mutation, active};
use littoral_model::{
    ports::RecordBlock,
    position::{Epoch, Lsn},
};
use std::{io, sync::atomic::Ordering::Relaxed};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The moving average of batch sizes covers about this many batches.
const BATCHES_OF_LATE: usize = 16;

/// From this size on, preallocated space is written instead of zeros. The journalling of newly used space costs little
/// compared with syncing such a batch, and less than writing zeros, which would compete for the disk.
const LARGE_BATCH: usize = 128 << 10;

impl Embedded {
    pub(super) fn append_batch(&self, batch: Batch) -> Result<RecordBlock, AppendError> {
        let mut writer = self.writer.lock();
        self.finish_cut(&mut writer).map_err(|error| AppendError::Io(error.to_string()))?;
        let bounds = self.state.read().bounds;
        if batch.epoch < bounds.epoch || batch.epoch < Epoch::FIRST {
            return Err(AppendError::Fenced { have: batch.epoch, log: bounds.epoch });
        }
        if batch.first != bounds.tail.next() || batch.chain_before != bounds.chain {
            return Err(AppendError::NotNext { have: batch.first, want: bounds.tail.next() });
        }
        self.write_frame(&mut writer, batch)
    }

    pub(super) fn append_records(&self, block: &RecordBlock) -> Result<(), AppendError> {
        let mut writer = self.writer.lock();
        self.finish_cut(&mut writer).map_err(|error| AppendError::Io(error.to_string()))?;
        let bounds = self.state.read().bounds;
        if block.bytes.is_empty() {
            return Err(AppendError::Size { records: 0, bytes: 0 });
        }
        if block.first != bounds.tail.next() {
            return Err(AppendError::NotNext { have: block.first, want: bounds.tail.next() });
        }
        if let Some(Ok(first)) = littoral_wire::records::iter(&block.bytes).next()
            && first.epoch < bounds.epoch
        {
            return Err(AppendError::Fenced { have: first.epoch, log: bounds.epoch });
        }
        let after = Expected { next: bounds.tail.next(), chain: bounds.chain, epoch: bounds.epoch };
        let runs = block::runs(&block.bytes, after, bounds.hlc, u32::MAX as usize)
            .map_err(|Broken { at, reason }| AppendError::Broken { at, reason })?;
        let last = runs.last().map_or(bounds.tail, Run::last);
        if last != block.last {
            let reason = format!("the block ends with record {last} and should end with {}", block.last);
            return Err(AppendError::Broken { at: last.next(), reason });
        }
        // Make each run durable before the next is begun. Otherwise a crash could leave the second run without the
        // first, and recovery treats a damaged frame that has a successor as lost data.
        for run in runs {
            let batch = self.batch_of(&block.bytes[run.range.clone()], &run);
            self.write_frame(&mut writer, batch)?;
        }
        Ok(())
    }

    fn batch_of(&self, bytes: &[u8], run: &Run) -> Batch {
        let mut buffer = self.state.write().cache.take_spare();
        buffer.reserve((HEADER_LEN + bytes.len()).next_multiple_of(frame::ALIGN));
        buffer.resize(HEADER_LEN, 0);
        buffer.extend_from_slice(bytes);
        Batch {
            bytes: buffer,
            first: run.first,
            next: run.last().next(),
            chain_before: run.chain_before,
            chain: run.chain_after,
            epoch: run.epoch,
            hlc: run.hlc,
        }
    }

    /// Makes a batch durable that follows the log.
    fn write_frame(&self, writer: &mut Writer, mut batch: Batch) -> Result<RecordBlock, AppendError> {
        let size = AppendError::Size { records: batch.len(), bytes: batch.bytes_len() };
        let (Ok(records), Ok(_)) = (u32::try_from(batch.len()), u32::try_from(batch.bytes_len())) else {
            return Err(size);
        };
        if batch.is_empty() {
            return Err(size);
        }
        let payload_len = batch.bytes_len();
        batch.bytes.resize((HEADER_LEN + payload_len).next_multiple_of(frame::ALIGN), 0);
        let (file, end, salt) = self.room_for(writer, batch.bytes.len() as u64)?;
        self.check_missing(&*file)?;
        let header = frame::Header::of(
            &batch.bytes[HEADER_LEN..HEADER_LEN + payload_len],
            records,
            salt,
            batch.first,
            batch.epoch,
            batch.hlc,
            batch.chain_before,
            batch.chain,
        );
        if let Some(head) = batch.bytes.first_chunk_mut::<HEADER_LEN>() {
            header.write(head);
        }
        if let Err(error) = file.write_at(end, &batch.bytes) {
            // What was written of it is overwritten by the next batch, or erased at the next start.
            writer.closed = !is_no_space(&error);
            return Err(AppendError::of(&error));
        }
        if !active(Mutation::AcknowledgeBeforeSync)
            && let Err(error) = file.sync()
        {
            writer.closed = true;
            tracing::error!(%error, "fsync of the log failed; the batch is rejected, and the next one is written to a new file");
            // Best effort: keeps the rejected batch from reappearing at the next start.
            let _ = file.write_at(end, &[0; HEADER_LEN]);
            return Err(AppendError::of(&error));
        }
        let bytes = Bytes::from(batch.bytes).slice(HEADER_LEN..HEADER_LEN + payload_len);
        let block = RecordBlock { first: header.first, last: header.last(), bytes: bytes.clone() };
        let mut state = self.state.write();
        if let Some(segment) = state.segments.last_mut() {
            segment.grew(&header);
        }
        // Cannot fail: the batch follows the log, as checked above.
        let _ = state.history.extend(header.epoch, header.first, header.last());
        state.bounds.tail = header.last();
        state.bounds.chain = header.chain_after;
        state.bounds.epoch = header.epoch;
        state.bounds.hlc = header.hlc;
        state.batch_bytes = state.batch_bytes - state.batch_bytes / BATCHES_OF_LATE + payload_len / BATCHES_OF_LATE;
        state.cache.push(Entry { first: header.first, last: header.last(), bytes });
        Ok(block)
    }

    /// Returns the file for a frame of `len` bytes, the offset in it, and its salt. Begins a new segment if the last
    /// one is full or closed.
    fn room_for(
        &self,
        writer: &mut Writer,
        len: u64,
    ) -> Result<(std::sync::Arc<dyn crate::storage::File>, u64, u64), AppendError> {
        if !writer.closed
            && let Some(last) = self.state.read().segments.last()
            && last.end + len <= last.capacity
        {
            return Ok((last.file.clone(), last.end, last.header.salt));
        }
        let segment = self.begin_segment(writer, len).map_err(|error| AppendError::of(&error))?;
        let room = (segment.file.clone(), segment.end, segment.header.salt);
        let mut state = self.state.write();
        // An empty last segment was replaced: the new one has its name.
        if state.segments.last().is_some_and(Segment::is_empty) {
            state.segments.pop();
        }
        state.segments.push(segment);
        writer.closed = false;
        Ok(room)
    }

    fn begin_segment(&self, writer: &mut Writer, len: u64) -> io::Result<Segment> {
        let (bounds, epoch) = {
            let state = self.state.read();
            (state.bounds, state.history.advance().0)
        };
        let needed = segment::HEADER_LEN as u64 + len;
        let waiting = self.prepared.lock().take();
        let prepared = match waiting {
            Some(prepared) if prepared.capacity >= needed => prepared,
            unfit => {
                if let Some(unfit) = unfit {
                    self.storage.remove(&unfit.name)?;
                }
                // The append does not wait for zeros to be written. If none are ready, the write rate is high, and then
                // the slower syncs of preallocated space are a small part of the cost.
                self.file(Room::Reserved(needed.max(self.options.segment_bytes)))?
            }
        };
        writer.salts += 1;
        let header = segment::Header {
            salt: xxh3_64_with_seed(
                &[bounds.tail.0.to_le_bytes(), writer.salts.to_le_bytes()].concat(),
                self.options.entropy,
            ),
            incarnation: self.identity.incarnation,
            first: bounds.tail.next(),
            chain_before: bounds.chain,
            before: Some(segment::Before { epoch, hlc: bounds.hlc }),
        };
        let name = segment::name(header.first);
        let named = (|| {
            prepared.file.write_at(0, &header.to_bytes())?;
            prepared.file.sync()?;
            // From here on the file may be found under its name, and recovery would treat later frames in the old file
            // as superseded: a failure must not lead back to writing there.
            writer.closed = true;
            self.storage.rename(&prepared.name, &name)
        })();
        if let Err(error) = named {
            // Best effort: each attempt creates a file, and they must not fill a failing disk.
            let _ = self.storage.remove(&prepared.name);
            return Err(error);
        }
        self.storage.sync()?;
        Ok(Segment::new(name, prepared.file, header, prepared.capacity))
    }

    fn file(&self, room: Room) -> io::Result<Prepared> {
        let name = format!("segment-{}{TEMPORARY}", self.files_made.fetch_add(1, Relaxed));
        let file = self.storage.create(&name, room)?;
        Ok(Prepared { name, file, capacity: room.bytes() })
    }

    /// Creates the next segment's file ahead of time. If the disk is full, the append that needs the file reports it.
    pub(super) fn prepare_segment(&self) {
        let (due, batch_bytes) = {
            let state = self.state.read();
            (state.segments.last().is_none_or(|last| last.end > last.capacity / 4), state.batch_bytes)
        };
        let bytes = self.options.segment_bytes;
        let room = if batch_bytes < LARGE_BATCH { Room::Zeros(bytes) } else { Room::Reserved(bytes) };
        if due && self.prepared.lock().is_none() {
            match self.file(room) {
                Ok(made) => {
                    let superfluous = self.prepared.lock().replace(made);
                    if let Some(superfluous) = superfluous {
                        // Two threads did so at once. Best effort: the next start removes remaining files.
                        let _ = self.storage.remove(&superfluous.name);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the next segment's file could not be created ahead of time; the append that needs it retries")
                }
            }
        }
    }

    /// Drops full segments from the page cache. Only subscribers that lag behind the log's own cache read them. The
    /// memory is more useful for rows and for the next segment.
    pub(super) fn drop_pages_of_full_segments(&self) {
        let mut dropped = self.pages_dropped.lock();
        let full: Vec<_> = {
            let state = self.state.read();
            let full = state.segments.split_last().map_or(&[][..], |(_, full)| full);
            full.iter()
                .rev()
                .take_while(|segment| segment.header.first > *dropped)
                .map(|s| (s.header.first, s.file.clone()))
                .collect()
        };
        for (first, file) in full {
            file.drop_pages();
            *dropped = first.max(*dropped);
        }
    }

    pub(super) fn trim_segments(&self, retention: Retention) -> Result<Lsn, ReadError> {
        let mut trimmed = self.trimmed.lock();
        let mut state = self.state.write();
        let mut bytes: u64 = state.segments.iter().map(|segment| segment.end).sum();
        while let Some(next) = state.segments.get(1).map(|segment| segment.header.first) {
            let oldest = &state.segments[0];
            let wanted = bytes > retention.bytes_max || oldest.hlc < retention.before;
            if !wanted || oldest.last > retention.through {
                break;
            }
            // Readers of the segment have its file open and can continue.
            bytes -= oldest.end;
            state.bounds.oldest = next;
            state.history.trim(Lsn(next.0 - 1));
            state.cache.trim(next);
            trimmed.push_back(state.segments.remove(0).name);
        }
        let oldest = state.bounds.oldest;
        drop(state);
        let removed = !trimmed.is_empty();
        while let Some(name) = trimmed.front() {
            self.storage.remove(name).map_err(|error| ReadError::io(name, &error))?;
            trimmed.pop_front();
        }
        if removed {
            self.storage.sync().map_err(|error| ReadError::io(self.storage.name(), &error))?;
        }
        Ok(oldest)
    }
}
