//! Encoded messages that all subscribers receive: the catalogue and the newest checkpoint. Each is encoded once and
//! shared by all streams.
//!
//! With a thousand views each has several megabytes, which every stream would otherwise hold for itself.

use bytes::Bytes;
use littoral_model::{catalogue::Catalogue, digest::Checkpoint};
use littoral_wire::{Error, feed};
use parking_lot::Mutex;
use std::sync::Arc;

/// The newest encoded messages.
#[derive(Debug, Default)]
pub(crate) struct Common {
    catalogue: Mutex<Option<(Arc<Catalogue>, Bytes)>>,
    checkpoint: Mutex<Option<(Arc<Checkpoint>, Bytes)>>,
}

impl Common {
    /// Returns a catalogue, encoded.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn catalogue(&self, catalogue: &Arc<Catalogue>) -> Result<Bytes, Error> {
        encoded(&self.catalogue, catalogue, feed::catalogue_bytes)
    }

    /// Returns a checkpoint, encoded.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn checkpoint(&self, checkpoint: &Arc<Checkpoint>) -> Result<Bytes, Error> {
        encoded(&self.checkpoint, checkpoint, feed::checkpoint_bytes)
    }
}

/// Returns the encoded `value`, and keeps it until another value is requested. The lock is held while it is encoded, so
/// that sessions that need the same value wait for it.
fn encoded<T>(
    kept: &Mutex<Option<(Arc<T>, Bytes)>>,
    value: &Arc<T>,
    encode: impl FnOnce(&Arc<T>) -> Result<Bytes, Error>,
) -> Result<Bytes, Error> {
    let mut kept = kept.lock();
    if let Some((of, bytes)) = &*kept
        && Arc::ptr_eq(of, value)
    {
        return Ok(bytes.clone());
    }
    let bytes = encode(value)?;
    *kept = Some((value.clone(), bytes.clone()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_catalogue_is_the_same_memory_and_another_is_not() {
        let common = Common::default();
        let (one, other) = (Arc::new(Catalogue::default()), Arc::new(Catalogue::default()));
        let bytes = common.catalogue(&one).unwrap();
        assert_eq!(common.catalogue(&one).unwrap().as_ptr(), bytes.as_ptr());
        assert_ne!(common.catalogue(&other).unwrap().as_ptr(), bytes.as_ptr());
    }
}
