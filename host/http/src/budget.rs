//! Memory that large bodies and answers share.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The size in bytes up to which a body or an answer needs no share: the bound on connections or requests bounds the
/// memory of these too. Only clients with large bodies or answers therefore compete for the budget, never a usual
/// request.
pub const COUNTED_FROM: usize = 64 << 10;

/// The number of bytes that one permit stands for.
const UNIT: usize = 4 << 10;

/// A bounded amount of memory. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

/// A share of a [`BodyBudget`], returned when it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct Held(Option<OwnedSemaphorePermit>);

/// The budget has too few bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("large bodies and answers use all the memory that they may; retry in a moment")]
pub struct Full;

impl BodyBudget {
    /// Creates a budget of `bytes` bytes, or of `largest` bytes if that is more, so that the largest body or answer
    /// always fits.
    #[must_use]
    pub fn new(bytes: usize, largest: usize) -> Self {
        let units = bytes.max(largest).div_ceil(UNIT);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// Grows a share to `bytes` bytes. Sizes up to [`COUNTED_FROM`] need no share.
    ///
    /// # Errors
    /// [`Full`]; the share keeps its size.
    pub fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), Full> {
        if bytes <= COUNTED_FROM {
            return Ok(());
        }
        let has = held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let permit = self.permit(bytes.div_ceil(UNIT).saturating_sub(has))?;
        match &mut held.0 {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Returns a share of `bytes` bytes, even if they are fewer than [`COUNTED_FROM`].
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(&self, bytes: usize) -> Result<Held, Full> {
        Ok(Held(Some(self.permit(bytes.div_ceil(UNIT))?)))
    }

    fn permit(&self, units: usize) -> Result<OwnedSemaphorePermit, Full> {
        let units = u32::try_from(units).map_err(|_| Full)?;
        self.0.clone().try_acquire_many_owned(units).map_err(|_| Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sizes_share_the_room_and_return_their_share() {
        let mib = 1 << 20;
        let budget = BodyBudget::new(2 * mib, mib);
        let (mut one, mut other, mut small) = (Held::default(), Held::default(), Held::default());
        budget.grow(&mut one, mib / 2).unwrap();
        budget.grow(&mut one, mib).unwrap();
        budget.grow(&mut other, mib).unwrap();
        budget.grow(&mut small, COUNTED_FROM).unwrap();
        assert_eq!(budget.grow(&mut small, COUNTED_FROM + 1), Err(Full));
        drop(one);
        budget.grow(&mut small, mib).unwrap();
        assert!(budget.grow(&mut small, usize::MAX).is_err());
    }
}
