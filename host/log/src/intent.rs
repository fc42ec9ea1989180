//! Makes a change of several files atomic: a small sealed file that exists from the moment the change is decided until
//! it is complete. After a crash the next start completes the change. Every step may be repeated.
//!
//! Everything the change needs is durable before it is decided: the removed records in their detached tail, and the
//! segment that replaces another ([`SEGMENT`]). So completing it needs no disk space and reads no record.

use crate::{
    backend::Identity,
    error::OpenError,
    identity,
    mark::{self, Marked},
    sealed, segment, snapshot,
    storage::{self, Storage},
};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn},
    region::Region,
};
use serde::{Deserialize, Serialize};
use std::io;

const NAME: &str = "intent";
const MAGIC: &[u8; 8] = b"LITLOGIN";
const LEN_MAX: u64 = 256;

/// The temporary name of the segment that will be the log's last one. Removed if nothing was decided.
pub(crate) const SEGMENT: &str = "last-segment.tmp";

/// A decided change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Intent {
    /// The log ends with the record `after`.
    Cut {
        incarnation: Incarnation,
        after: Lsn,
        committed: Lsn,
        /// The first record of the segment that becomes the last one.
        segment: Lsn,
    },
    /// The log is replaced by an empty one that follows the record `as_of`, which has epoch `epoch`.
    Begin { region: Region, incarnation: Incarnation, epoch: Epoch, as_of: Lsn },
}

/// Reads a change that must be completed, if there is one.
pub(crate) fn read(storage: &dyn Storage) -> Result<Option<Intent>, OpenError> {
    let bytes = match storage::read(storage, NAME, LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(NAME, error)),
    };
    let damaged = |reason: &str| OpenError::damaged(NAME, 0, reason);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("its first bytes are not those of an intent file"))?;
    sealed::open(rest).map(Some).map_err(|reason| damaged(&reason))
}

/// Prepares the decision. After an error nothing is decided.
pub(crate) fn stage(storage: &dyn Storage, intent: &Intent) -> io::Result<()> {
    if active(Mutation::CutWithoutIntent) {
        return Ok(());
    }
    let mut bytes = MAGIC.to_vec();
    sealed::seal(&mut bytes, intent)?;
    storage::stage(storage, NAME, &bytes)
}

/// Decides the change. After an error it is uncertain whether it is decided.
pub(crate) fn commit(storage: &dyn Storage) -> io::Result<()> {
    if active(Mutation::CutWithoutIntent) {
        return Ok(());
    }
    storage::commit(storage, NAME)
}

/// Completes a change that was decided before this start. Returns whether there was one.
pub(crate) fn finish_old(storage: &dyn Storage, region: Region) -> Result<bool, OpenError> {
    let Some(intent) = read(storage)? else { return Ok(false) };
    match intent {
        Intent::Begin { region: found, .. } => identity::same_region(NAME, found, region)?,
        Intent::Cut { incarnation, .. } => {
            let found = identity::read(storage, region)?;
            if found.is_none_or(|(identity, _)| identity.incarnation != incarnation) {
                return Err(OpenError::damaged(NAME, 0, "it belongs to another log"));
            }
        }
    }
    tracing::info!(?intent, "completing a change of the log's files that an earlier run decided");
    finish(storage, &intent)?;
    Ok(true)
}

/// Carries out a decided change, or the rest of it.
pub(crate) fn finish(storage: &dyn Storage, intent: &Intent) -> Result<(), OpenError> {
    let done = || -> io::Result<Marked> {
        let names = storage.list()?;
        let exists = |name: &str| names.iter().any(|have| have == name);
        let (last, marked) = match *intent {
            Intent::Cut { after, committed, segment, .. } => (segment, Marked { tail: after, committed }),
            Intent::Begin { as_of, .. } => (as_of.next(), Marked { tail: as_of, committed: as_of }),
        };
        for name in &names {
            if is_removed(intent, last, name) {
                storage.remove(name)?;
            }
        }
        if exists(SEGMENT) {
            storage.rename(SEGMENT, &segment::name(last))?;
        }
        if matches!(intent, Intent::Begin { .. }) && exists(snapshot::RECEIVED) {
            storage.rename(snapshot::RECEIVED, &snapshot::name(marked.tail))?;
        }
        Ok(marked)
    };
    let marked = done().map_err(|error| OpenError::io(storage.name(), error))?;
    let incarnation = match *intent {
        Intent::Cut { incarnation, .. } => incarnation,
        Intent::Begin { region, incarnation, epoch, .. } => {
            identity::write(storage, Identity { region, incarnation }, epoch)?;
            incarnation
        }
    };
    let finished = || -> io::Result<()> {
        if !active(Mutation::CutLeavesMark) {
            mark::write(storage, incarnation, marked)?;
        }
        // Last, and only after the directory was synced.
        storage.sync()?;
        storage.remove(NAME)?;
        storage.sync()
    };
    finished().map_err(|error| OpenError::io(storage.name(), error))
}

/// Returns whether the change removes this file.
fn is_removed(intent: &Intent, last: Lsn, name: &str) -> bool {
    let (segment, snapshot) = (segment::parse_name(name), snapshot::parse_name(name));
    match *intent {
        // A snapshot that includes removed records is useless.
        Intent::Cut { after, .. } => segment.is_some_and(|first| first > last) || snapshot.is_some_and(|at| at > after),
        Intent::Begin { as_of, .. } => {
            segment.is_some_and(|first| first != last) || snapshot.is_some_and(|at| at != as_of)
        }
    }
}
