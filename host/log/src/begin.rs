//! What is done to a directory whose log is closed: it becomes the log of another life, or begins anew after a snapshot.

use crate::{
    backend::Identity,
    detached::{self, Detached, Tail},
    embedded::open::{Recovered, enter, known, recover},
    error::OpenError,
    identity,
    intent::{self, Intent},
    promise, segment,
    snapshot::{self, Head},
    storage::{Room, Storage},
};
use littoral_model::{
    position::{Epoch, Incarnation, Lsn},
    region::Region,
};
use std::io;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Whose log a directory holds; `None` where there is none. Nothing is opened or locked.
///
/// # Errors
/// [`OpenError`].
pub fn peek(storage: &dyn Storage, region: Region) -> Result<Option<Identity>, OpenError> {
    if let Some(Intent::Begin { region: found, incarnation, .. }) = intent::read(storage)? {
        identity::same_region("intent", found, region)?;
        return Ok(Some(Identity { region, incarnation }));
    }
    Ok(identity::read(storage, region)?.map(|(identity, _)| identity))
}

/// An empty log, or an empty directory, becomes the log `incarnation`: that of the members that it joins.
///
/// # Errors
/// [`OpenError::NotEmpty`] where there are records or snapshots, and every other [`OpenError`].
pub fn begin_as(storage: &dyn Storage, region: Region, incarnation: Incarnation) -> Result<(), OpenError> {
    let names = enter(storage, region)?;
    let wanted = Identity { region, incarnation };
    if let Some((found, begun)) = known(storage, region, &names)? {
        if found.incarnation == incarnation {
            return Ok(());
        }
        let empty = recover(storage, found, begun, &names)?.bounds.tail == Lsn::NONE
            && !names.iter().any(|name| snapshot::parse_name(name).is_some());
        if !empty {
            return Err(OpenError::NotEmpty { directory: storage.name(), incarnation: found.incarnation });
        }
        // Segments without records first: a log without segments is empty, whichever it is.
        for name in names.iter().filter(|name| segment::parse_name(name).is_some()) {
            storage.remove(name).map_err(|error| OpenError::io(name, error))?;
        }
        storage.sync().map_err(|error| OpenError::io(storage.name(), error))?;
    }
    identity::write(storage, wanted, Epoch::FIRST)
}

/// The log begins anew after the record that `snapshot` is as of, with its incarnation; the snapshot must be there, as
/// [`snapshot::Receiver`] leaves it or under its own name. What the old log holds is detached first: after the newest record that
/// it knows to be committed, or all of it when it is another life of the log. Then it goes, with every other snapshot. A
/// crash in the midst leaves the old log, or the new one at the next open.
///
/// # Errors
/// [`OpenError`]. Nothing was changed, except that a disk that failed at the very end may have the new log.
pub fn begin_after(
    storage: &dyn Storage,
    region: Region,
    incarnation: Incarnation,
    snapshot: &Head,
) -> Result<Option<Detached>, OpenError> {
    let names = enter(storage, region)?;
    check_snapshot(storage, &names, (region, incarnation), snapshot)?;
    let detached = match known(storage, region, &names)? {
        Some((old, begun)) => detach(storage, (old, begun), &names, (incarnation, snapshot.as_of))?,
        None => None,
    };
    write_segment(storage, snapshot).map_err(|error| OpenError::io(intent::SEGMENT, error))?;
    let intent = Intent::Begin { region, incarnation, epoch: snapshot.epoch, as_of: snapshot.as_of };
    let decided = intent::stage(storage, &intent).and_then(|()| intent::commit(storage));
    decided.map_err(|error| OpenError::io("intent", error))?;
    intent::finish(storage, &intent)?;
    Ok(detached)
}

/// Whether the snapshot is there, and one that a log can begin after.
fn check_snapshot(
    storage: &dyn Storage,
    names: &[String],
    (region, incarnation): (Region, Incarnation),
    snapshot: &Head,
) -> Result<(), OpenError> {
    let name = snapshot::name(snapshot.as_of);
    identity::same_region(&name, snapshot.region, region)?;
    let damaged = |reason: &str| Err(OpenError::damaged(&name, 0, reason));
    if snapshot.incarnation != incarnation {
        return damaged("it is of another log");
    }
    if snapshot.as_of == Lsn::NONE || snapshot.epoch == Epoch(0) {
        return damaged("it is as of no record, so that nothing can follow it");
    }
    let received = names.iter().any(|name| name == snapshot::RECEIVED);
    let head = if received {
        snapshot::Reader::received(storage)?.head
    } else {
        snapshot::Reader::open(storage, snapshot.as_of)?.head
    };
    if head == *snapshot { Ok(()) } else { damaged("another snapshot stands in its place") }
}

/// Keeps what the old log holds and nobody else may have.
fn detach(
    storage: &dyn Storage,
    (old, begun): (Identity, Epoch),
    names: &[String],
    (incarnation, as_of): (Incarnation, Lsn),
) -> Result<Option<Detached>, OpenError> {
    let Recovered { segments, bounds, history, marked } = recover(storage, old, begun, names)?;
    let committed = if old.incarnation == incarnation { marked.committed } else { Lsn::NONE };
    if as_of < committed {
        return Err(OpenError::Committed { as_of, committed });
    }
    let epoch = history.advance().0;
    // The records that go have counted as promises until now.
    if epoch > promise::read(storage)? {
        promise::write(storage, epoch).map_err(|error| OpenError::io("promise", error))?;
    }
    let first = committed.next().max(bounds.oldest);
    if first > bounds.tail {
        return Ok(None);
    }
    let tail = Tail { identity: old, epoch, first, last: bounds.tail, chain_after: bounds.chain };
    Ok(Some(detached::write(storage, &segments, &tail)?))
}

/// The log's first segment, without records: it says what the first one follows.
fn write_segment(storage: &dyn Storage, snapshot: &Head) -> io::Result<()> {
    let header = segment::Header {
        // No frame is ever written behind this one: the first batch finds no room and begins the segment anew.
        salt: xxh3_64_with_seed(b"salt", snapshot.incarnation.0),
        incarnation: snapshot.incarnation,
        first: snapshot.as_of.next(),
        chain_before: snapshot.chain,
        before: Some(segment::Before { epoch: snapshot.epoch, hlc: snapshot.hlc }),
    };
    let file = storage.create(intent::SEGMENT, Room::None)?;
    file.write_at(0, &header.to_bytes())?;
    file.sync()
}
