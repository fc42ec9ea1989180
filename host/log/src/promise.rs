//! The promise: the newest epoch of which this member has said that it will take nothing older. Durable before it is told
//! to anyone, and never smaller than before.

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

/// The promise of this directory; epoch 0 when it never gave one.
pub(crate) fn read(storage: &dyn Storage) -> Result<Epoch, OpenError> {
    let bytes = match storage::read(storage, NAME, LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Epoch(0)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(error.to_string())),
        Err(error) => return Err(OpenError::io(NAME, error)),
    };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as such a file does".to_owned()))?;
    sealed::open(rest).map_err(damaged)
}

/// Gives it. The caller sees to it that it is the newest.
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
