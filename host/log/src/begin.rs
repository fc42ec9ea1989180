//! Operations on a directory whose log is closed: joining the log of other members, and replacing the log by a
//! snapshot.

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

/// Returns whose log a directory holds; `None` if there is none. Opens and locks nothing.
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

/// Turns an empty log, or an empty directory, into the log `incarnation`, which other members already have.
///
/// # Errors
/// [`OpenError::NotEmpty`] if there are records or snapshots, and every other [`OpenError`].
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
        // Remove segments without records first: a log without segments is empty under either identity.
        for name in names.iter().filter(|name| segment::parse_name(name).is_some()) {
            storage.remove(name).map_err(|error| OpenError::io(name, error))?;
        }
        storage.sync().map_err(|error| OpenError::io(storage.name(), error))?;
    }
    identity::write(storage, wanted, Epoch::FIRST)
}

/// Replaces the log by an empty one that continues after `snapshot`, with its incarnation. The snapshot must be in the
/// directory: as [`snapshot::Receiver`] leaves it, or under its own name. First the old log's records are written to a
/// detached tail: those after the newest record known to be committed, or all of them if the old log is another log.
/// Then the old log and every other snapshot are deleted. A crash in between leaves the old log, or the new one at the
/// next open.
///
/// # Errors
/// [`OpenError`]. Nothing was changed then, except that the new log may exist if the disk failed at the very end.
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

/// Checks that the snapshot exists and that a log can continue after it.
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
        return damaged("it belongs to another log");
    }
    if snapshot.as_of == Lsn::NONE || snapshot.epoch == Epoch(0) {
        return damaged("it includes no record, so no log can follow it");
    }
    let received = names.iter().any(|name| name == snapshot::RECEIVED);
    let head = if received {
        snapshot::Reader::received(storage)?.head
    } else {
        snapshot::Reader::open(storage, snapshot.as_of)?.head
    };
    if head == *snapshot { Ok(()) } else { damaged("the file holds another snapshot") }
}

/// Writes the old log's records that no other member may have to a detached tail.
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
    // The removed records implied a promise of their epoch. Write that promise before they are gone.
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

/// Writes the new log's first segment. It has no records, only the header with what the first record must follow.
fn write_segment(storage: &dyn Storage, snapshot: &Head) -> io::Result<()> {
    let header = segment::Header {
        // No frame is ever written to this file: the first batch does not fit and replaces the segment.
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
