//! Opening: recovery after whatever happened.

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

/// A log as its files have it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    pub(crate) bounds: Bounds,
    pub(crate) history: EpochHistory,
    pub(crate) marked: Marked,
}

impl Embedded {
    /// Opens the log in a directory, or makes one where nothing is. Takes as long as reading it all takes.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then, except that an unfinished last batch may have been cut off, and that what
    /// [`Log::cut`](crate::Log::cut) or [`begin_after`](crate::begin_after) had decided may have been finished.
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
            let_go: Mutex::new(Lsn::NONE),
            files_made: AtomicU64::new(0),
        })
    }
}

/// Keeps others out, finishes what was decided, and gives the names of the files there are.
pub(crate) fn enter(storage: &dyn Storage, region: Region) -> Result<Vec<String>, OpenError> {
    let io = |error| OpenError::io(storage.name(), error);
    storage.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(storage.name()),
        _ => io(error),
    })?;
    // What is found may be known to the page cache only, if a sync failed and the process ended.
    storage.sync().map_err(io)?;
    intent::finish_old(storage, region)?;
    storage.list().map_err(io)
}

/// Whose log it is and the epoch that it was begun with; `None` where there is none.
pub(crate) fn known(
    storage: &dyn Storage,
    region: Region,
    names: &[String],
) -> Result<Option<(Identity, Epoch)>, OpenError> {
    let found = identity::read(storage, region)?;
    let is_log = |name: &String| segment::parse_name(name).is_some() || snapshot::parse_name(name).is_some();
    if found.is_none() && names.iter().any(is_log) {
        return Err(OpenError::damaged("identity", 0, "the file is gone, and a log is there"));
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
            return Err(OpenError::damaged(name, 0, "the file is of another log or was renamed"));
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
            // Before anything is wiped: what looks unfinished may have been durable.
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

/// What must follow in a segment, after what the ones before it hold.
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
    let reason = format!("it does not follow record {}; a file before it may be gone", history.tail());
    Err(OpenError::damaged(name, 0, reason))
}

/// The history of a log that begins with this segment and is empty yet.
///
/// Where the segment does not say which epoch it follows, that of its first record stands for it. That is safe: all that
/// [`EpochHistory::common`] takes from the base is where an epoch ends, and no log that has the first record's epoch differs from
/// this one before it. For the epoch that the base may truly be of nothing is claimed; at worst a snapshot is taken
/// that was not needed.
fn base(segment: &Segment, found: &scan::Found) -> Result<EpochHistory, OpenError> {
    let base = Lsn(segment.header.first.0 - 1);
    let said = segment.header.before.map(|before| before.epoch);
    let epoch = match said.or_else(|| found.epochs.first().map(|(epoch, _)| *epoch)) {
        _ if base == Lsn::NONE => Epoch(0),
        Some(epoch) => epoch,
        None => {
            let reason = format!("nothing says which epoch record {base} before it was of");
            return Err(OpenError::damaged(segment.name.clone(), 0, reason));
        }
    };
    Ok(EpochHistory::after(epoch, base))
}

/// The history with a segment's records.
fn grown(mut history: EpochHistory, segment: &Segment, epochs: &[(Epoch, Lsn)]) -> Result<EpochHistory, OpenError> {
    for (epoch, last) in epochs {
        while history.tail() < *last {
            let next = history.tail().next();
            let unfit = |error: history::OutOfOrder| OpenError::damaged(segment.name.clone(), 0, error.to_string());
            history.push(*epoch, next).map_err(unfit)?;
        }
    }
    Ok(history)
}

/// Makes the end of the last segment sure. The last whole batch may be known to the page cache only, if its fsync failed
/// and the process ended: it is written again, byte for byte, and synced. What is left of an unfinished batch is wiped.
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
            "an unfinished batch, never acknowledged, was cut off"
        );
        segment.file.write_at(segment.end, &vec![0; (torn_end - segment.end) as usize])?;
    }
    segment.file.sync()
}
