//! Opening a log: recovery after a crash or a failure.

use super::{Embedded, Options, State, Writer};
use crate::{
    backend::{Bounds, Identity},
    cache::Cache,
    error::OpenError,
    identity, intent,
    mark::{self, Marked},
    promise,
    scan::{self, Expected},
    segment::{self, Segment},
    snapshot,
    storage::{Storage, TEMPORARY},
};
use littoral_model::{
    hlc::Hlc,
    position::{Epoch, Incarnation, Lsn},
    record::ChainHash,
    region::Region,
};
use littoral_protocol::members::{EpochHistory, history};
use parking_lot::{Mutex, RwLock};
use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A log as found in its files.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    pub(crate) bounds: Bounds,
    pub(crate) history: EpochHistory,
    pub(crate) marked: Marked,
}

impl Embedded {
    /// Opens the log in a directory, or creates one in an empty directory. Reads the whole log.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then, except that an unfinished last batch may have been cut off, and that an
    /// operation that [`Log::cut`](crate::Log::cut) or [`begin_after`](crate::begin_after) had decided may have been
    /// completed.
    pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Self, OpenError> {
        let names = enter(&*storage, options.region)?;
        let promised = promise::read(&*storage)?;
        let found = known(&*storage, options.region, &names)?;
        let made = found.is_none();
        let (identity, begun) = match found {
            Some(found) => found,
            None => {
                let incarnation = Incarnation(xxh3_64_with_seed(b"incarnation", options.entropy));
                let identity = Identity { region: options.region, incarnation };
                identity::write(&*storage, identity, options.first_epoch)?;
                (identity, options.first_epoch)
            }
        };
        let Recovered { segments, bounds, history, marked } = recover(&*storage, identity, begun, &names)?;
        for name in names.iter().filter(|name| name.ends_with(TEMPORARY) || *name == snapshot::RECEIVED) {
            storage.remove(name).map_err(|error| OpenError::io(name, error))?;
        }
        let writer = Writer { closed: segments.is_empty(), ..Writer::default() };
        let (cache, committed) = (Cache::new(options.cache_bytes), marked.committed);
        let committed_max = Lsn(u64::MAX);
        let state = State { bounds, history, committed, committed_max, segments, cache, batch_bytes: 0 };
        Ok(Self {
            storage,
            options,
            identity,
            made,
            begun,
            promised: AtomicU64::new(promised.0),
            promising: Mutex::default(),
            trimmed: Mutex::default(),
            state: RwLock::new(state),
            writer: Mutex::new(writer),
            prepared: Mutex::default(),
            marked: Mutex::new(marked),
            missing: Mutex::default(),
            pages_dropped: Mutex::new(Lsn::NONE),
            files_made: AtomicU64::new(0),
        })
    }
}

/// Locks the directory, completes a decided operation, and returns the names of the files.
pub(crate) fn enter(storage: &dyn Storage, region: Region) -> Result<Vec<String>, OpenError> {
    let io = |error| OpenError::io(storage.name(), error);
    storage.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(storage.name()),
        _ => io(error),
    })?;
    // If a sync failed before the process ended, some changes of the directory may exist only in the page cache.
    storage.sync().map_err(io)?;
    intent::finish_old(storage, region)?;
    storage.list().map_err(io)
}

/// Returns whose log the directory holds and the epoch with which it was created; `None` if there is no log.
pub(crate) fn known(
    storage: &dyn Storage,
    region: Region,
    names: &[String],
) -> Result<Option<(Identity, Epoch)>, OpenError> {
    let found = identity::read(storage, region)?;
    let is_log = |name: &String| segment::parse_name(name).is_some() || snapshot::parse_name(name).is_some();
    if found.is_none() && names.iter().any(is_log) {
        return Err(OpenError::damaged("identity", 0, "the file is missing, though the directory holds a log"));
    }
    Ok(found)
}

pub(crate) fn recover(
    storage: &dyn Storage,
    identity: Identity,
    begun: Epoch,
    names: &[String],
) -> Result<Recovered, OpenError> {
    let mut firsts: Vec<Lsn> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    firsts.sort_unstable();
    let mut marked = mark::read(storage, identity);
    if firsts.is_empty() {
        mark::check("log", 0, Lsn::NONE, marked.tail)?;
    }
    let mut segments = Vec::with_capacity(firsts.len());
    let mut chain = ChainHash::GENESIS;
    let mut history: Option<EpochHistory> = None;
    for (at, first) in firsts.iter().enumerate() {
        let name = segment::name(*first);
        let file = storage.open(&name).map_err(|error| OpenError::io(&name, error))?;
        let capacity = file.size().map_err(|error| OpenError::io(&name, error))?;
        let mut bytes = vec![0; capacity as usize];
        file.read_at(0, &mut bytes).map_err(|error| OpenError::io(&name, error))?;
        let header = segment::Header::read(&name, &bytes)?;
        if header.incarnation != identity.incarnation || header.first != *first {
            return Err(OpenError::damaged(name, 0, "the file belongs to another log or was renamed"));
        }
        let expected = expected(&name, &header, history.as_ref(), chain)?;
        let mut segment = Segment::new(name, file, header, capacity);
        let found = scan::scan(&mut segment, &bytes, expected, firsts.get(at + 1).copied())?;
        let so_far = match history.take() {
            Some(history) => history,
            None => base(&segment, &found)?,
        };
        history = Some(grown(so_far, &segment, &found.epochs)?);
        chain = found.then.chain;
        if at + 1 == firsts.len() {
            // Check before erasing anything: what looks unfinished may have been durable.
            mark::check(&segment.name, segment.end, segment.last, marked.tail)?;
            settle(&segment, &bytes, &found).map_err(|error| OpenError::io(&segment.name, error))?;
        }
        segments.push(segment);
    }
    let history = history.unwrap_or_default();
    let tail = history.tail();
    marked.committed = marked.committed.min(tail);
    let hlc = segments.iter().map(|segment| segment.hlc).max().unwrap_or(Hlc(0));
    let bounds = Bounds { oldest: history.base().next(), tail, chain, epoch: history.advance().0.max(begun), hlc };
    Ok(Recovered { segments, bounds, history, marked })
}

/// Returns what the first record of a segment must follow, given the segments before it.
fn expected(
    name: &str,
    header: &segment::Header,
    history: Option<&EpochHistory>,
    chain: ChainHash,
) -> Result<Expected, OpenError> {
    let before = header.before.map(|before| before.epoch);
    let Some(history) = history else {
        return Ok(Expected { next: header.first, chain: header.chain_before, epoch: before.unwrap_or(Epoch(0)) });
    };
    let expected = Expected { next: history.tail().next(), chain, epoch: history.advance().0 };
    let follows = header.first == expected.next
        && header.chain_before == expected.chain
        && before.is_none_or(|epoch| epoch == expected.epoch);
    if follows {
        return Ok(expected);
    }
    let reason = format!("it does not follow record {}; a file before it may be missing", history.tail());
    Err(OpenError::damaged(name, 0, reason))
}

/// Returns the still empty epoch history of a log that begins with this segment.
///
/// If the segment does not state which epoch it follows, the epoch of its first record is used. This is safe:
/// [`EpochHistory::common`] uses the base only for where an epoch ends, and no log that has the first record's epoch
/// differs from this one before that record. Nothing is claimed about the true epoch of the base; at worst a member
/// takes a snapshot that it did not need.
fn base(segment: &Segment, found: &scan::Found) -> Result<EpochHistory, OpenError> {
    let base = Lsn(segment.header.first.0 - 1);
    let stated = segment.header.before.map(|before| before.epoch);
    let epoch = match stated.or_else(|| found.epochs.first().map(|(epoch, _)| *epoch)) {
        _ if base == Lsn::NONE => Epoch(0),
        Some(epoch) => epoch,
        None => {
            let reason = format!("no file states the epoch of record {base}, which precedes it");
            return Err(OpenError::damaged(segment.name.clone(), 0, reason));
        }
    };
    Ok(EpochHistory::after(epoch, base))
}

/// Returns the epoch history extended by a segment's records.
fn grown(mut history: EpochHistory, segment: &Segment, epochs: &[(Epoch, Lsn)]) -> Result<EpochHistory, OpenError> {
    for (epoch, last) in epochs {
        while history.tail() < *last {
            let next = history.tail().next();
            let out_of_order =
                |error: history::OutOfOrder| OpenError::damaged(segment.name.clone(), 0, error.to_string());
            history.push(*epoch, next).map_err(out_of_order)?;
        }
    }
    Ok(history)
}

/// Makes the end of the last segment durable. If an fsync failed and the process ended, the last complete batch may
/// exist only in the page cache: it is written again, byte for byte, and synced. The remains of an unfinished batch are
/// erased.
fn settle(segment: &Segment, bytes: &[u8], found: &scan::Found) -> io::Result<()> {
    if let Some((start, end)) = found.last_frame {
        let end = (end as usize).min(bytes.len());
        segment.file.write_at(start, &bytes[start as usize..end])?;
    }
    if let Some(torn_end) = found.torn_end {
        tracing::warn!(
            file = segment.name,
            offset = segment.end,
            bytes = torn_end - segment.end,
            "removed an unfinished batch that was never acknowledged"
        );
        segment.file.write_at(segment.end, &vec![0; (torn_end - segment.end) as usize])?;
    }
    segment.file.sync()
}
