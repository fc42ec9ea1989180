//! The file that identifies the log in a directory. Written when the log is created, and when another log replaces it:
//! see [`crate::begin_after`].

use crate::{
    backend::Identity,
    error::OpenError,
    sealed,
    storage::{self, Storage},
};
use littoral_model::{
    position::{Epoch, Incarnation},
    region::Region,
};
use serde::{Deserialize, Serialize};
use std::io;

/// The file's name.
pub(crate) const NAME: &str = "identity";
const MAGIC: &[u8; 8] = b"LITLOGID";

/// The format of everything in the directory.
pub(crate) const FORMAT: u32 = 1;

const LEN_MAX: u64 = 4_096;

#[derive(Serialize, Deserialize)]
struct Content {
    region: Region,
    incarnation: Incarnation,
    epoch: Epoch,
}

/// Reads the file; `None` if there is none.
pub(crate) fn read(storage: &dyn Storage, region: Region) -> Result<Option<(Identity, Epoch)>, OpenError> {
    let bytes = match storage::read(storage, NAME, LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(NAME, error)),
    };
    let damaged = |reason: &str| OpenError::damaged(NAME, 0, reason);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("its first bytes are not those of an identity file"))?;
    let (format, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it ends early"))?;
    let format = u32::from_le_bytes(*format);
    if format > FORMAT {
        return Err(OpenError::Format { file: NAME.into(), found: format, known: FORMAT });
    }
    let content: Content = sealed::open(rest).map_err(|reason| damaged(&reason))?;
    same_region(NAME, content.region, region)?;
    Ok(Some((Identity { region: content.region, incarnation: content.incarnation }, content.epoch)))
}

/// Checks that a file belongs to this region.
pub(crate) fn same_region(file: &str, found: Region, wanted: Region) -> Result<(), OpenError> {
    if found == wanted {
        return Ok(());
    }
    Err(OpenError::Region { file: file.into(), found: found.to_string(), wanted: wanted.to_string() })
}

pub(crate) fn write(storage: &dyn Storage, identity: Identity, epoch: Epoch) -> Result<(), OpenError> {
    let content = Content { region: identity.region, incarnation: identity.incarnation, epoch };
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    sealed::seal(&mut bytes, &content).map_err(|error| OpenError::io(NAME, error))?;
    storage::replace(storage, NAME, &bytes).map_err(|error| OpenError::io(NAME, error))
}
