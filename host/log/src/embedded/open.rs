//! Opening: recovery after whatever happened.

use super::{Embedded, Options, State, Writer};
use crate::{
    backend::{Bounds, Identity},
    cache::Cache,
    error::OpenError,
    identity, mark,
    scan::{self, Expected},
    segment::{self, Segment},
    snapshot,
    storage::{Storage, TEMPORARY},
};
use littoral_model::{
    hlc::Hlc,
    position::{Incarnation, Lsn},
    record::ChainHash,
};
use parking_lot::{Mutex, RwLock};
use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

impl Embedded {
    /// Opens the log in a directory, or makes one where nothing is. Takes as long as reading it all takes.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then, except that an unfinished last batch may have been cut off.
    pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Self, OpenError> {
        storage.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(storage.name()),
            _ => OpenError::io(storage.name(), error),
        })?;
        let names = storage.list().map_err(|error| OpenError::io(storage.name(), error))?;
        let mut firsts: Vec<Lsn> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
        firsts.sort_unstable();
        let (identity, first_epoch) = match identity::read(&*storage, options.region)? {
            Some(found) => found,
            None => {
                if !firsts.is_empty() || names.iter().any(|name| snapshot::parse_name(name).is_some()) {
                    return Err(OpenError::damaged("identity", 0, "the file is gone, and a log is there"));
                }
                let incarnation = Incarnation(xxh3_64_with_seed(b"incarnation", options.entropy));
                let identity = Identity { region: options.region, incarnation };
                identity::write(&*storage, identity, options.first_epoch)?;
                (identity, options.first_epoch)
            }
        };
        let marked = mark::read(&*storage, identity);
        let recovered = recover(&*storage, identity, &firsts, marked)?;
        for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
            storage.remove(name).map_err(|error| OpenError::io(name, error))?;
        }
        let (segments, expected) = recovered;
        let expected =
            expected.unwrap_or(Expected { next: Lsn::OLDEST, chain: ChainHash::GENESIS, epoch: first_epoch });
        let bounds = Bounds {
            oldest: segments.first().map_or(expected.next, |segment| segment.header.first),
            tail: Lsn(expected.next.0 - 1),
            chain: expected.chain,
            epoch: expected.epoch.max(first_epoch),
            hlc: segments.iter().map(|segment| segment.hlc).max().unwrap_or(Hlc(0)),
        };
        let writer = Writer { closed: segments.is_empty(), salts: 0 };
        let state = State { bounds, segments, cache: Cache::new(options.cache_bytes), batch_bytes: 0 };
        Ok(Self {
            storage,
            options,
            identity,
            state: RwLock::new(state),
            writer: Mutex::new(writer),
            prepared: Mutex::default(),
            marked: Mutex::new(marked),
            let_go: Mutex::new(Lsn::NONE),
            files_made: AtomicU64::new(0),
        })
    }
}

fn recover(
    storage: &dyn Storage,
    identity: Identity,
    firsts: &[Lsn],
    marked: Lsn,
) -> Result<(Vec<Segment>, Option<Expected>), OpenError> {
    if firsts.is_empty() {
        mark::check("log", 0, Lsn::NONE, marked)?;
    }
    let mut segments = Vec::with_capacity(firsts.len());
    let mut then: Option<Expected> = None;
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
        let expected = then.unwrap_or(Expected {
            next: *first,
            chain: header.chain_before,
            epoch: littoral_model::position::Epoch(0),
        });
        if header.first != expected.next || header.chain_before != expected.chain {
            let reason = format!("it does not follow record {}; a file before it may be gone", expected.next.0 - 1);
            return Err(OpenError::damaged(name, 0, reason));
        }
        let mut segment = Segment::new(name, file, header, capacity);
        let found = scan::scan(&mut segment, &bytes, expected, firsts.get(at + 1).copied())?;
        if at + 1 == firsts.len() {
            // Before anything is wiped: what looks unfinished may have been durable.
            mark::check(&segment.name, segment.end, Lsn(found.then.next.0 - 1), marked)?;
            settle(&segment, &bytes, found).map_err(|error| OpenError::io(&segment.name, error))?;
        }
        then = Some(found.then);
        segments.push(segment);
    }
    Ok((segments, then))
}

/// Makes the end of the last segment sure. The last whole batch may be known to the page cache only, if its fsync failed
/// and the process ended: it is written again, byte for byte, and synced. What is left of an unfinished batch is wiped.
fn settle(segment: &Segment, bytes: &[u8], found: scan::Found) -> io::Result<()> {
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
