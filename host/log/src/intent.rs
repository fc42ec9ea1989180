//! What is being done to the log's files as one: a small sealed file that is there from the moment at which it is decided until
//! all of it is done. Whatever happens in between, the next start goes on, and everything that it does may be done twice.
//!
//! What the decision needs is durable before it: the given-up records in their own file, and the segment that comes in the
//! place of another ([`SEGMENT`]). So going on needs no room on the disk and reads no record.

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

/// The segment that is to become the log's last one, until it has its name. Swept when nothing was decided.
pub(crate) const SEGMENT: &str = "last-segment.tmp";

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Intent {
    /// The log ends with the record `after`.
    Cut {
        incarnation: Incarnation,
        after: Lsn,
        committed: Lsn,
        /// The first record of the segment that is the last one then.
        segment: Lsn,
    },
    /// The log begins anew after the record `as_of`, which is of `epoch`.
    Begin { region: Region, incarnation: Incarnation, epoch: Epoch, as_of: Lsn },
}

/// What is to be finished, if there is anything.
pub(crate) fn read(storage: &dyn Storage) -> Result<Option<Intent>, OpenError> {
    let bytes = match storage::read(storage, NAME, LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(NAME, error)),
    };
    let damaged = |reason: &str| OpenError::damaged(NAME, 0, reason);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as such a file does"))?;
    sealed::open(rest).map(Some).map_err(|reason| damaged(&reason))
}

/// Makes ready to decide: after an error nothing is decided.
pub(crate) fn stage(storage: &dyn Storage, intent: &Intent) -> io::Result<()> {
    if active(Mutation::CutWithoutIntent) {
        return Ok(());
    }
    let mut bytes = MAGIC.to_vec();
    sealed::seal(&mut bytes, intent)?;
    storage::stage(storage, NAME, &bytes)
}

/// Decides. After an error nobody knows whether it is.
pub(crate) fn commit(storage: &dyn Storage) -> io::Result<()> {
    if active(Mutation::CutWithoutIntent) {
        return Ok(());
    }
    storage::commit(storage, NAME)
}

/// Finishes what was decided before this start. Returns whether there was anything.
pub(crate) fn finish_old(storage: &dyn Storage, region: Region) -> Result<bool, OpenError> {
    let Some(intent) = read(storage)? else { return Ok(false) };
    match intent {
        Intent::Begin { region: found, .. } => identity::same_region(NAME, found, region)?,
        Intent::Cut { incarnation, .. } => {
            let found = identity::read(storage, region)?;
            if found.is_none_or(|(identity, _)| identity.incarnation != incarnation) {
                return Err(OpenError::damaged(NAME, 0, "it is of another log"));
            }
        }
    }
    tracing::info!(?intent, "what the last start has begun to change in the log's files is finished");
    finish(storage, &intent)?;
    Ok(true)
}

/// Does what was decided, or what is left to do of it.
pub(crate) fn finish(storage: &dyn Storage, intent: &Intent) -> Result<(), OpenError> {
    let done = || -> io::Result<Marked> {
        let names = storage.list()?;
        let there = |name: &str| names.iter().any(|have| have == name);
        let (last, marked) = match *intent {
            Intent::Cut { after, committed, segment, .. } => (segment, Marked { tail: after, committed }),
            Intent::Begin { as_of, .. } => (as_of.next(), Marked { tail: as_of, committed: as_of }),
        };
        for name in &names {
            if is_given_up(intent, last, name) {
                storage.remove(name)?;
            }
        }
        if there(SEGMENT) {
            storage.rename(SEGMENT, &segment::name(last))?;
        }
        if matches!(intent, Intent::Begin { .. }) && there(snapshot::RECEIVED) {
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
    let told = || -> io::Result<()> {
        if !active(Mutation::CutLeavesMark) {
            mark::write(storage, incarnation, marked)?;
        }
        // Last of all, and after the directory was synced.
        storage.sync()?;
        storage.remove(NAME)?;
        storage.sync()
    };
    told().map_err(|error| OpenError::io(storage.name(), error))
}

/// Whether the file has no place in the log as it is then.
fn is_given_up(intent: &Intent, last: Lsn, name: &str) -> bool {
    let (segment, snapshot) = (segment::parse_name(name), snapshot::parse_name(name));
    match *intent {
        // A snapshot of what is given up stands for nothing.
        Intent::Cut { after, .. } => segment.is_some_and(|first| first > last) || snapshot.is_some_and(|at| at > after),
        Intent::Begin { as_of, .. } => {
            segment.is_some_and(|first| first != last) || snapshot.is_some_and(|at| at != as_of)
        }
    }
}
