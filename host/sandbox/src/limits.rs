//! Memory and table limits of one instance, and whether the instance reached them.

use wasmtime::ResourceLimiter;

/// Limits of one instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    memory_bytes: usize,
    table_elements: usize,
    /// The size of the instance's memory, in bytes.
    held_bytes: usize,
    /// Whether growth was rejected since [`Limits::reset`].
    rejected: bool,
}

impl Limits {
    pub(crate) fn new(memory_bytes: u64, table_elements: u64) -> Self {
        let bound = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            memory_bytes: bound(memory_bytes),
            table_elements: bound(table_elements),
            held_bytes: 0,
            rejected: false,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.rejected = false;
    }

    /// Returns the size of the instance's memory, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(crate) fn was_rejected(&self) -> bool {
        self.rejected
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes && maximum.is_none_or(|maximum| desired <= maximum);
        self.rejected |= !allowed;
        if allowed {
            self.held_bytes = desired;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_elements && maximum.is_none_or(|maximum| desired <= maximum);
        self.rejected |= !allowed;
        Ok(allowed)
    }
}
