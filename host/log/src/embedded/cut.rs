//! Cutting off the end of a log.
//!
//! First the records that will be removed are written durably to a detached tail. Then the segment that will be the
//! last one is written again, without them, next to the old one: no remaining record is overwritten, and readers of the
//! old file can continue. Then the cut is decided ([`crate::intent`]). From that moment the log is cut, even if work on
//! the disk remains.

use super::{Embedded, Writer, read};
use crate::{
    backend::Log,
    cut as block_cut,
    detached::{self, Detached, Tail},
    error::{CutError, OpenError, ReadError},
    frame::{self, HEADER_LEN},
    intent::{self, Intent},
    mark::Marked,
    segment::{self, Segment},
    snapshot,
    storage::{File, Room},
};
use littoral_model::{
    mutation::{Mutation, active},
    position::Lsn,
    record::{ChainHash, Record},
};
use littoral_wire::records;
use std::{io, sync::Arc};

impl Embedded {
    pub(super) fn cut_after(&self, after: Lsn) -> Result<Option<Detached>, CutError> {
        let _trimmed = self.trimmed.lock();
        let mut writer = self.writer.lock();
        self.finish_cut(&mut writer).map_err(|error| CutError::Unfinished(error.to_string()))?;
        if after == self.state.read().bounds.tail {
            return Ok(None);
        }
        self.check_cut(after)?;
        let cut = self.cut_checked(&mut writer, after);
        self.state.write().committed_max = Lsn(u64::MAX);
        cut.map(Some)
    }

    fn cut_checked(&self, writer: &mut Writer, after: Lsn) -> Result<Detached, CutError> {
        let mut marked = self.marked.lock();
        let (bounds, history, committed, segments) = {
            let state = self.state.read();
            (state.bounds, state.history.clone(), state.committed, state.segments.clone())
        };
        if !active(Mutation::CutForgetsEpoch) {
            // The removed records implied a promise of their epoch. Write that promise before they are gone.
            self.promise(history.advance().0).map_err(|error| CutError::Failed(ReadError::io("promise", &error)))?;
        }
        let tail = Tail {
            identity: self.identity,
            epoch: history.advance().0,
            first: after.next(),
            last: bounds.tail,
            chain_after: bounds.chain,
        };
        let detached = detached::write(&*self.storage, &segments, &tail)?;
        let at = segments.iter().rposition(|segment| segment.header.first <= after).unwrap_or(0);
        let Some(last) = segments.get(at) else {
            return Err(CutError::Trimmed { after, oldest: bounds.oldest });
        };
        let chain = read::chain_at(&segments, after)?.unwrap_or(ChainHash::GENESIS);
        let before = segment::Before {
            epoch: history.epoch_at(Lsn(last.header.first.0 - 1)).unwrap_or_default(),
            hlc: segments.get(..at).unwrap_or_default().iter().map(|s| s.hlc).max().unwrap_or_default(),
        };
        let shortened = self.shortened(last, before, after)?;
        let (incarnation, segment) = (self.identity.incarnation, shortened.header.first);
        let intent = Intent::Cut { incarnation, after, committed, segment };
        intent::stage(&*self.storage, &intent).map_err(|error| ReadError::io("intent", &error))?;
        let decided = intent::commit(&*self.storage);
        // This applies even if it is uncertain whether the decision is durable: a later start may find the records
        // removed, so nothing may rely on them.
        writer.unfinished = Some(intent);
        writer.closed = true;
        *marked = Marked { tail: after, committed };
        {
            let mut dropped = self.pages_dropped.lock();
            *dropped = (*dropped).min(Lsn(segment.0 - 1));
        }
        {
            let mut state = self.state.write();
            state.segments.truncate(at);
            state.segments.push(shortened);
            state.history.cut(after);
            state.cache.cut(after);
            state.bounds.tail = after;
            state.bounds.chain = chain;
            state.bounds.epoch = state.history.advance().0.max(self.begun);
            state.bounds.hlc = state.segments.iter().map(|segment| segment.hlc).max().unwrap_or_default();
        }
        drop(marked);
        decided.map_err(|error| CutError::Unfinished(error.to_string()))?;
        if let Err(error) = self.finish_cut(writer) {
            tracing::warn!(%error, "the log is cut, but changing its files failed; the next batch retries it");
        }
        Ok(detached)
    }

    /// Checks that the log may be cut there. If so, nothing after that record counts as committed from now on.
    fn check_cut(&self, after: Lsn) -> Result<(), CutError> {
        let snapshots = snapshot::newest(&*self.storage)
            .map_err(|error| ReadError::Io { file: self.storage.name(), reason: error.to_string() })?;
        let mut state = self.state.write();
        let (bounds, committed) = (state.bounds, state.committed);
        if after > bounds.tail {
            return Err(CutError::Beyond { after, tail: bounds.tail });
        }
        if after.next() < bounds.oldest {
            return Err(CutError::Trimmed { after, oldest: bounds.oldest });
        }
        if after < committed {
            return Err(CutError::Committed { after, committed });
        }
        if let Some(as_of) = snapshots.last()
            && bounds.oldest > Lsn::OLDEST
            && *as_of > after
        {
            return Err(CutError::Snapshot { after, as_of: *as_of });
        }
        state.committed_max = after;
        Ok(())
    }

    /// Completes a decided cut on the disk. No batch is accepted before that, because it would be cut off too.
    pub(super) fn finish_cut(&self, writer: &mut Writer) -> Result<(), OpenError> {
        let Some(intent) = writer.unfinished else { return Ok(()) };
        // The mark is written too.
        let _marked = self.marked.lock();
        let again = intent::stage(&*self.storage, &intent).and_then(|()| intent::commit(&*self.storage));
        again.map_err(|error| OpenError::io("intent", error))?;
        intent::finish(&*self.storage, &intent)?;
        writer.unfinished = None;
        Ok(())
    }

    /// Writes a copy of a segment that ends with `after`, as a durable file that has no final name yet.
    fn shortened(&self, whole: &Segment, before: segment::Before, after: Lsn) -> Result<Segment, ReadError> {
        let failed = |error: io::Error| ReadError::io(intent::SEGMENT, &error);
        let mut header = whole.header;
        header.before = header.before.or(Some(before));
        let file = self.storage.create(intent::SEGMENT, Room::None).map_err(failed)?;
        file.write_at(0, &header.to_bytes()).map_err(failed)?;
        let mut short = Segment::new(whole.name.clone(), file, header, 0);
        let mut offset = short.end;
        while short.last < after {
            let (frame, bytes) = frame_at(whole, offset)?;
            offset += frame.frame_len() as u64;
            let (kept, bytes) =
                if frame.last() <= after { (frame, bytes) } else { kept(&short, &frame, &bytes, after) };
            short.file.write_at(short.end, &bytes).map_err(failed)?;
            short.grew(&kept);
        }
        short.file.sync().map_err(failed)?;
        // The next batch begins a new file.
        short.capacity = short.end;
        Ok(short)
    }
}

fn frame_at(segment: &Segment, offset: u64) -> Result<(frame::Header, Vec<u8>), ReadError> {
    let damaged =
        || ReadError::Damaged { file: segment.name.clone(), offset, reason: "a durable batch is damaged".to_owned() };
    let mut head = [0; HEADER_LEN];
    let read = |at: u64, buffer: &mut [u8], file: &Arc<dyn File>| {
        file.read_at(at, buffer).map_err(|error| ReadError::io(&segment.name, &error))
    };
    if offset + HEADER_LEN as u64 > segment.end {
        return Err(damaged());
    }
    read(offset, &mut head, &segment.file)?;
    let header = frame::Header::read(&head, segment.header.salt).ok_or_else(damaged)?;
    if offset + header.frame_len() as u64 > segment.end {
        return Err(damaged());
    }
    let mut bytes = vec![0; header.frame_len()];
    read(offset, &mut bytes, &segment.file)?;
    header.payload(&bytes).ok_or_else(damaged)?;
    Ok((header, bytes))
}

/// Returns the frame without the records after `after`. It follows the records of `short`.
fn kept(short: &Segment, frame: &frame::Header, bytes: &[u8], after: Lsn) -> (frame::Header, Vec<u8>) {
    let payload = bytes.get(HEADER_LEN..).unwrap_or_default();
    let count = after.0 - frame.first.0 + 1;
    let payload = &payload[..block_cut::offset_of(payload, count)];
    let last = |read: Option<Record<'_>>| read.map_or(frame.chain_before, |record| record.chain);
    let chain_after = last(records::iter(payload).filter_map(Result::ok).last());
    let newest = records::iter(payload).filter_map(Result::ok).map(|record| record.hlc).max();
    let hlc = short.hlc.max(newest.unwrap_or_default());
    let header = frame::Header::of(
        payload,
        count as u32,
        short.header.salt,
        frame.first,
        frame.epoch,
        hlc,
        frame.chain_before,
        chain_after,
    );
    let mut out = vec![0; HEADER_LEN];
    if let Some(head) = out.first_chunk_mut::<HEADER_LEN>() {
        header.write(head);
    }
    out.extend_from_slice(payload);
    out.resize(header.frame_len(), 0);
    (header, out)
}
