//! Listing detached tails, reading them and letting go of them.

use super::{Detached, FORMAT, HEAD_LEN, Head, MAGIC, is_name};
use crate::{
    block::{self, Part},
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

/// The tails that there are, by epoch and number.
///
/// # Errors
/// [`OpenError`], naming the file that is damaged. The others can still be read by name.
pub fn list(storage: &dyn Storage) -> Result<Vec<Detached>, OpenError> {
    let mut names = storage.list().map_err(|error| OpenError::io(storage.name(), error))?;
    names.retain(|name| is_name(name));
    names.sort_unstable();
    names.iter().map(|name| open(storage, name).map(|(head, _, len)| head.describe(name.clone(), len))).collect()
}

/// Reads a tail from its beginning to its end.
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

/// Lets go of a tail, for good. One that is not there is no error.
///
/// # Errors
/// Of the disk; [`io::ErrorKind::InvalidInput`] for a name that is no tail's.
pub fn remove(storage: &dyn Storage, name: &str) -> io::Result<()> {
    if !is_name(name) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("'{name}' is no detached tail")));
    }
    storage.remove(name)?;
    storage.sync()
}

/// The head of a tail and the file's length, where they can be read.
pub(super) fn head(storage: &dyn Storage, name: &str) -> Option<(Head, u64)> {
    open(storage, name).ok().map(|(head, _, len)| (head, len))
}

fn open(storage: &dyn Storage, name: &str) -> Result<(Head, Arc<dyn File>, u64), OpenError> {
    let io = |error| OpenError::io(name, error);
    let damaged = |reason: &str| damaged(name, 0, reason);
    if !is_name(name) {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "it is no detached tail")));
    }
    let file = storage.open(name).map_err(io)?;
    let len = file.size().map_err(io)?;
    if len < HEAD_LEN as u64 {
        return Err(damaged("the file ends within its head"));
    }
    let mut bytes = [0; HEAD_LEN];
    file.read_at(0, &mut bytes).map_err(io)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as a tail does"))?;
    let u32_at = |at: usize| rest[at..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
    let (format, head_len) = (u32_at(0), u32_at(4) as usize);
    if format > FORMAT {
        return Err(OpenError::Format { file: name.into(), found: format, known: FORMAT });
    }
    let sealed = rest.get(8..).and_then(|rest| rest.get(..head_len)).ok_or_else(|| damaged("its head is too long"))?;
    let head: Head = sealed::open(sealed).map_err(|reason| damaged(&reason))?;
    if head.first < Lsn::OLDEST || head.last < head.first || head.last == Lsn(u64::MAX) {
        return Err(damaged("the records that it says it holds cannot be"));
    }
    Ok((head, file, len))
}

/// A tail's records, in order: an item is a run of records of one epoch, checked. After an error there are no more, and
/// what came before it is as it was given up.
#[derive(Debug)]
pub struct Reader {
    /// What it is.
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
            .ok_or_else(|| damaged(&name, offset, "no whole frame of this tail stands here"))?;
        // Bounded before anything is allocated.
        if header.frame_len() as u64 > self.detached.bytes - offset {
            return Err(short());
        }
        let mut bytes = vec![0; header.frame_len()];
        self.file.read_at(offset, &mut bytes).map_err(io)?;
        header.payload(&bytes).ok_or_else(|| damaged(&name, offset, "a frame's checksum does not fit"))?;
        let payload = Bytes::from(bytes).slice(HEADER_LEN..HEADER_LEN + header.len as usize);
        let parts = block::parts(&payload, self.then, self.hlc, usize::MAX)
            .map_err(|broken| damaged(&name, offset, &format!("record {}: {}", broken.at, broken.reason)))?;
        let [part] = &parts[..] else { return Err(damaged(&name, offset, "a frame is not of one epoch")) };
        let said = (header.first, header.records, header.epoch, header.chain_after);
        if said != (part.first, part.records, part.epoch, part.chain_after) || part.last() > self.head.last {
            return Err(damaged(&name, offset, "a frame does not hold what it says"));
        }
        let Part { first, epoch, chain_after, hlc, .. } = *part;
        self.then = Expected { next: part.last().next(), chain: chain_after, epoch };
        self.hlc = hlc;
        self.at += header.frame_len() as u64;
        Ok(RecordBlock { first, last: part.last(), bytes: payload })
    }

    /// Whether it ends as its head says.
    fn end(&self) -> Result<Option<RecordBlock>, OpenError> {
        let ends = self.at == self.detached.bytes
            && self.then.chain == self.head.chain_after
            && self.then.epoch == self.head.epoch;
        if ends { Ok(None) } else { Err(damaged(&self.detached.name, self.at, "it does not end as its head says")) }
    }
}

fn damaged(name: &str, offset: u64, reason: &str) -> OpenError {
    OpenError::Damaged { file: name.into(), offset, reason: reason.into(), remedy: REMEDY_TAIL }
}
