//! Bytes that every subscriber is sent: the catalogue and the newest checkpoint, each encoded once and shared by all streams.
//!
//! With a thousand views either is some megabytes, which every stream would hold for itself.

use bytes::Bytes;
use littoral_model::{catalogue::Catalogue, digest::Checkpoint};
use littoral_wire::{Error, feed};
use parking_lot::Mutex;
use std::sync::Arc;

/// The newest of each that was sent.
#[derive(Debug, Default)]
pub(crate) struct Common {
    catalogue: Mutex<Option<(Arc<Catalogue>, Bytes)>>,
    checkpoint: Mutex<Option<(Arc<Checkpoint>, Bytes)>>,
}

impl Common {
    /// A catalogue's bytes.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn catalogue(&self, catalogue: &Arc<Catalogue>) -> Result<Bytes, Error> {
        encoded(&self.catalogue, catalogue, feed::catalogue_bytes)
    }

    /// A checkpoint's bytes.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn checkpoint(&self, checkpoint: &Arc<Checkpoint>) -> Result<Bytes, Error> {
        encoded(&self.checkpoint, checkpoint, feed::checkpoint_bytes)
    }
}

/// The bytes of `value`, which are kept until another is asked for. Held while they are made: who joins at the same time waits
/// for them.
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
