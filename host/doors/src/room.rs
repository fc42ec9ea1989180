//! Memory that requests share: what is large must find room, or come back later.

use crate::failure::{Answer, Failure};
use hyper::body::Body as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is smaller is not counted: the bound on connections bounds it too. So whoever sends or asks for much takes the
/// place of others who do, never that of the usual request.
pub(crate) const COUNTED_FROM: usize = 64 << 10;

/// What one permit stands for, in bytes.
const UNIT: usize = 4 << 10;

/// Room for so many bytes.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// A part of a room, given back when it is dropped: hold it as long as what it is for.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Room {
    /// Room for `bytes` bytes, and at least for one thing of the largest kind.
    pub(crate) fn new(bytes: usize, largest: usize) -> Self {
        let units = bytes.max(largest).div_ceil(UNIT);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// Grows what is held to `bytes`.
    ///
    /// # Errors
    /// When there is no room left; what was held is still held.
    pub(crate) fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), Failure> {
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

    /// Room for `bytes` bytes, however few.
    ///
    /// # Errors
    /// When there is no room left.
    pub(crate) fn take(&self, bytes: usize) -> Result<Held, Failure> {
        Ok(Held(Some(self.permit(bytes.div_ceil(UNIT))?)))
    }

    fn permit(&self, units: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = u32::try_from(units).ok().and_then(|units| self.0.clone().try_acquire_many_owned(units).ok());
        permit.ok_or_else(Failure::overloaded)
    }

    /// Lets an answer find room until its client has taken it: a large one carries its part along.
    ///
    /// # Errors
    /// When there is no room left.
    pub(crate) fn admit(&self, mut answer: Answer) -> Result<Answer, Failure> {
        let bytes = answer.body().size_hint().lower();
        if bytes > COUNTED_FROM as u64 {
            let mut held = Held::default();
            self.grow(&mut held, usize::try_from(bytes).unwrap_or(usize::MAX))?;
            answer.extensions_mut().insert(Arc::new(held));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_shares_the_room_and_gives_it_back() {
        let mib = 1 << 20;
        let room = Room::new(2 * mib, mib);
        let (mut one, mut other, mut small) = (Held::default(), Held::default(), Held::default());
        room.grow(&mut one, mib / 2).unwrap();
        room.grow(&mut one, mib).unwrap();
        room.grow(&mut other, mib).unwrap();
        room.grow(&mut small, COUNTED_FROM).unwrap();
        let refused = room.grow(&mut small, COUNTED_FROM + 1).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (503, "overloaded"));
        drop(one);
        room.grow(&mut small, mib).unwrap();
    }
}
