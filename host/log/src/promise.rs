//! The promise: the newest epoch that this member has durably accepted; it rejects every older one. It is durable
//! before it is sent to any node, and it never decreases.

use crate::{
    error::{OpenError, REMEDY_PROMISE},
    sealed,
    storage::{self, Storage},
};
use littoral_model::{
    mutation::{Mutation, active},
    position::Epoch,
};
use std::io;

const NAME: &str = "promise";
const MAGIC: &[u8; 8] = b"LITLOGPR";
const LEN_MAX: u64 = 256;

/// Reads the promise in this directory; epoch 0 if none was ever made.
pub(crate) fn read(storage: &dyn Storage) -> Result<Epoch, OpenError> {
    let bytes = match storage::read(storage, NAME, LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Epoch(0)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(error.to_string())),
        Err(error) => return Err(OpenError::io(NAME, error)),
    };
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| damaged("its first bytes are not those of a promise file".to_owned()))?;
    sealed::open(rest).map_err(damaged)
}

/// Writes a promise. The caller ensures that it is the newest.
pub(crate) fn write(storage: &dyn Storage, epoch: Epoch) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    sealed::seal(&mut bytes, &epoch)?;
    if active(Mutation::PromiseWithoutSync) {
        storage.create(NAME, storage::Room::None)?.write_at(0, &bytes)?;
        return Ok(());
    }
    storage::replace(storage, NAME, &bytes)
}

fn damaged(reason: String) -> OpenError {
    OpenError::Damaged { file: NAME.into(), offset: 0, reason, remedy: REMEDY_PROMISE }
}
