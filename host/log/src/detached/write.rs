//! Writing detached tails.

use super::{Detached, FORMAT, FRAME_BYTES, HEAD_LEN, Head, MAGIC, name, read};
use crate::{
    backend::Identity,
    block::{self, Run},
    cut,
    embedded::read::{chain_at, entries},
    error::ReadError,
    frame::{self, HEADER_LEN},
    scan::Expected,
    sealed,
    segment::Segment,
    storage::{File, Room, Storage, TEMPORARY},
};
use littoral_model::{
    hlc::Hlc,
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
    record::ChainHash,
};
use std::{io, sync::Arc};

/// The end of a log that is to be detached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) identity: Identity,
    /// The epoch of `last`.
    pub(crate) epoch: Epoch,
    pub(crate) first: Lsn,
    /// The log's newest record.
    pub(crate) last: Lsn,
    pub(crate) chain_after: ChainHash,
}

/// Writes the end of the log durably to a file of its own. Checks every record.
pub(crate) fn write(storage: &dyn Storage, segments: &[Segment], tail: &Tail) -> Result<Detached, ReadError> {
    let head = Head {
        region: tail.identity.region,
        incarnation: tail.identity.incarnation,
        epoch: tail.epoch,
        first: tail.first,
        last: tail.last,
        chain_before: chain_at(segments, Lsn(tail.first.0 - 1))?.unwrap_or(ChainHash::GENESIS),
        chain_after: tail.chain_after,
    };
    let name = free_name(storage, &head)?;
    let temporary = format!("{name}{TEMPORARY}");
    let written = write_file(storage, segments, &head, &name, &temporary);
    if written.is_err() {
        // Best effort: the next start removes it.
        let _ = storage.remove(&temporary);
    }
    Ok(head.describe(name, written?))
}

/// Returns the first file name that no other tail has. A tail with the same head holds the same records: a crash came
/// between detaching and cutting, or the cut failed.
fn free_name(storage: &dyn Storage, head: &Head) -> Result<String, ReadError> {
    let names = storage.list().map_err(|error| ReadError::io(storage.name(), &error))?;
    let mut copy = 1;
    loop {
        let name = name(head.epoch, head.first, head.last, copy);
        let taken = names.contains(&name) && read::head(storage, &name).is_none_or(|(have, _)| have != *head);
        if !taken {
            return Ok(name);
        }
        copy += 1;
    }
}

fn write_file(
    storage: &dyn Storage,
    segments: &[Segment],
    head: &Head,
    name: &str,
    temporary: &str,
) -> Result<u64, ReadError> {
    let failed = |error: io::Error| ReadError::io(temporary, &error);
    let mut out = Out { file: storage.create(temporary, Room::None).map_err(failed)?, at: 0 };
    let mut first = MAGIC.to_vec();
    first.extend_from_slice(&FORMAT.to_le_bytes());
    let mut sealed = Vec::new();
    sealed::seal(&mut sealed, head).map_err(failed)?;
    first.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
    first.extend_from_slice(&sealed);
    first.resize(HEAD_LEN, 0);
    out.write(&first).map_err(failed)?;
    let mut after = Expected { next: head.first, chain: head.chain_before, epoch: Epoch(0) };
    let mut hlc = Hlc(0);
    while after.next <= head.last {
        let batches = entries(segments, after.next, FRAME_BYTES)?;
        if batches.is_empty() {
            return Err(missing(segments, after.next, "it is missing"));
        }
        let records = cut::cut(&batches, after.next, usize::MAX);
        let runs = block::runs(&records.bytes, after, hlc, FRAME_BYTES)
            .map_err(|broken| missing(segments, broken.at, &broken.reason))?;
        for run in runs {
            out.frame(&records.bytes[run.range.clone()], &run, head.incarnation.0).map_err(failed)?;
            after = Expected { next: run.last().next(), chain: run.chain_after, epoch: run.epoch };
            hlc = run.hlc;
        }
    }
    if after.chain != head.chain_after {
        return Err(missing(segments, head.last, "its chain hash does not match"));
    }
    if !active(Mutation::DetachWithoutSync) {
        out.file.sync().map_err(failed)?;
    }
    storage.rename(temporary, name).map_err(failed)?;
    storage.sync().map_err(|error| ReadError::io(storage.name(), &error))?;
    Ok(out.at)
}

fn missing(segments: &[Segment], at: Lsn, reason: &str) -> ReadError {
    let file = segments.iter().rev().find(|segment| segment.header.first <= at);
    ReadError::Damaged {
        file: file.map_or_else(|| "log".to_owned(), |segment| segment.name.clone()),
        offset: file.map_or(0, |segment| segment.seek(at)),
        reason: format!("record {at}: {reason}"),
    }
}

struct Out {
    file: Arc<dyn File>,
    at: u64,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn frame(&mut self, payload: &[u8], run: &Run, salt: u64) -> io::Result<()> {
        let header = frame::Header::of(
            payload,
            run.records,
            salt,
            run.first,
            run.epoch,
            run.hlc,
            run.chain_before,
            run.chain_after,
        );
        let mut bytes = vec![0; HEADER_LEN];
        if let Some(head) = bytes.first_chunk_mut::<HEADER_LEN>() {
            header.write(head);
        }
        bytes.extend_from_slice(payload);
        bytes.resize(header.frame_len(), 0);
        self.write(&bytes)
    }
}
