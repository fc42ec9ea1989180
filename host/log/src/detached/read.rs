//! Listing, reading and removing detached tails.

use super::{Detached, FORMAT, HEAD_LEN, Head, MAGIC, is_name};
use crate::{
    block::{self, Run},
    error::{OpenError, REMEDY_TAIL},
    frame::{self, HEADER_LEN},
    scan::Expected,
    sealed,
    storage::{File, Storage},
};
use bytes::Bytes;
use littoral_model::{
    hlc::Hlc,
    ports::RecordBlock,
    position::{Epoch, Lsn},
};
use std::{io, sync::Arc};

/// Returns all tails, by epoch and number.
///
/// # Errors
/// [`OpenError`] with the name of the damaged file. The others can still be read by name.
pub fn list(storage: &dyn Storage) -> Result<Vec<Detached>, OpenError> {
    let mut names = storage.list().map_err(|error| OpenError::io(storage.name(), error))?;
    names.retain(|name| is_name(name));
    names.sort_unstable();
    names.iter().map(|name| open(storage, name).map(|(head, _, len)| head.describe(name.clone(), len))).collect()
}

/// Opens a tail for reading.
///
/// # Errors
/// [`OpenError`].
pub fn read(storage: &dyn Storage, name: &str) -> Result<Reader, OpenError> {
    let (head, file, len) = open(storage, name)?;
    let then = Expected { next: head.first, chain: head.chain_before, epoch: Epoch(0) };
    Ok(Reader {
        detached: head.describe(name.to_owned(), len),
        head,
        file,
        at: HEAD_LEN as u64,
        then,
        hlc: Hlc(0),
        done: false,
    })
}

/// Removes a tail permanently. Does nothing if it does not exist.
///
/// # Errors
/// A disk error; [`io::ErrorKind::InvalidInput`] if the name is not that of a tail.
pub fn remove(storage: &dyn Storage, name: &str) -> io::Result<()> {
    if !is_name(name) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("'{name}' is not the name of a detached tail"),
        ));
    }
    storage.remove(name)?;
    storage.sync()
}

/// Returns the head of a tail and the file's length, if they can be read.
pub(super) fn head(storage: &dyn Storage, name: &str) -> Option<(Head, u64)> {
    open(storage, name).ok().map(|(head, _, len)| (head, len))
}

fn open(storage: &dyn Storage, name: &str) -> Result<(Head, Arc<dyn File>, u64), OpenError> {
    let io = |error| OpenError::io(name, error);
    let damaged = |reason: &str| damaged(name, 0, reason);
    if !is_name(name) {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "it is not the name of a detached tail")));
    }
    let file = storage.open(name).map_err(io)?;
    let len = file.size().map_err(io)?;
    if len < HEAD_LEN as u64 {
        return Err(damaged("the file ends within its head"));
    }
    let mut bytes = [0; HEAD_LEN];
    file.read_at(0, &mut bytes).map_err(io)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is not a detached tail: its first bytes differ"))?;
    let u32_at = |at: usize| rest[at..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
    let (format, head_len) = (u32_at(0), u32_at(4) as usize);
    if format > FORMAT {
        return Err(OpenError::Format { file: name.into(), found: format, known: FORMAT });
    }
    let sealed = rest.get(8..).and_then(|rest| rest.get(..head_len)).ok_or_else(|| damaged("its head is too long"))?;
    let head: Head = sealed::open(sealed).map_err(|reason| damaged(&reason))?;
    if head.first < Lsn::OLDEST || head.last < head.first || head.last == Lsn(u64::MAX) {
        return Err(damaged("its head names an impossible range of records"));
    }
    Ok((head, file, len))
}

/// Iterates over a tail's records in order. Each item is a checked run of records of one epoch. After an error there
/// are no more items; the items before it are valid.
#[derive(Debug)]
pub struct Reader {
    /// The description of the tail.
    pub detached: Detached,
    head: Head,
    file: Arc<dyn File>,
    at: u64,
    then: Expected,
    hlc: Hlc,
    done: bool,
}

impl Iterator for Reader {
    type Item = Result<RecordBlock, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = if self.then.next > self.head.last { self.end() } else { self.frame().map(Some) };
        self.done = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl Reader {
    fn frame(&mut self) -> Result<RecordBlock, OpenError> {
        let (name, offset) = (self.detached.name.clone(), self.at);
        let io = |error| OpenError::io(&name, error);
        let short = || damaged(&name, offset, "the file ends before its last record");
        if self.detached.bytes - offset < HEADER_LEN as u64 {
            return Err(short());
        }
        let mut head = [0; HEADER_LEN];
        self.file.read_at(offset, &mut head).map_err(io)?;
        let header = frame::Header::read(&head, self.head.incarnation.0)
            .ok_or_else(|| damaged(&name, offset, "no valid frame header"))?;
        // Check the length before allocating memory.
        if header.frame_len() as u64 > self.detached.bytes - offset {
            return Err(short());
        }
        let mut bytes = vec![0; header.frame_len()];
        self.file.read_at(offset, &mut bytes).map_err(io)?;
        header.payload(&bytes).ok_or_else(|| damaged(&name, offset, "a frame's checksum does not match"))?;
        let payload = Bytes::from(bytes).slice(HEADER_LEN..HEADER_LEN + header.len as usize);
        let runs = block::runs(&payload, self.then, self.hlc, usize::MAX)
            .map_err(|broken| damaged(&name, offset, &format!("record {}: {}", broken.at, broken.reason)))?;
        let [run] = &runs[..] else { return Err(damaged(&name, offset, "a frame has records of several epochs")) };
        let stated = (header.first, header.records, header.epoch, header.chain_after);
        if stated != (run.first, run.records, run.epoch, run.chain_after) || run.last() > self.head.last {
            return Err(damaged(&name, offset, "a frame's header does not match its records"));
        }
        let Run { first, epoch, chain_after, hlc, .. } = *run;
        self.then = Expected { next: run.last().next(), chain: chain_after, epoch };
        self.hlc = hlc;
        self.at += header.frame_len() as u64;
        Ok(RecordBlock { first, last: run.last(), bytes: payload })
    }

    /// Checks that the tail ends as its head states.
    fn end(&self) -> Result<Option<RecordBlock>, OpenError> {
        let ends = self.at == self.detached.bytes
            && self.then.chain == self.head.chain_after
            && self.then.epoch == self.head.epoch;
        if ends { Ok(None) } else { Err(damaged(&self.detached.name, self.at, "it does not end as its head states")) }
    }
}

fn damaged(name: &str, offset: u64, reason: &str) -> OpenError {
    OpenError::Damaged { file: name.into(), offset, reason: reason.into(), remedy: REMEDY_TAIL }
}
