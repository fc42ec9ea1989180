//! Memory and table limits of one instance, and whether it ran into them.

use wasmtime::ResourceLimiter;

/// Limits of one instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    memory_bytes: usize,
    table_elements: usize,
    /// Bytes of memory that the instance has.
    held_bytes: usize,
    /// Whether growth was refused since [`Limits::reset`].
    refused: bool,
}

impl Limits {
    pub(crate) fn new(memory_bytes: u64, table_elements: u64) -> Self {
        let bound = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
        Self { memory_bytes: bound(memory_bytes), table_elements: bound(table_elements), held_bytes: 0, refused: false }
    }

    pub(crate) fn reset(&mut self) {
        self.refused = false;
    }

    /// Bytes of memory that the instance has.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes && maximum.is_none_or(|maximum| desired <= maximum);
        self.refused |= !allowed;
        if allowed {
            self.held_bytes = desired;
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_elements && maximum.is_none_or(|maximum| desired <= maximum);
        self.refused |= !allowed;
        Ok(allowed)
    }
}
