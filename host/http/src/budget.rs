//! Memory that large bodies and answers share.

use littoral_runtime::shares::{Exceeded, Kind, Loads, Share, Shares};

/// The size in bytes up to which a body or an answer needs no share: the bound on connections or requests bounds the
/// memory of these too. Only clients with large bodies or answers therefore compete for the budget, never a usual
/// request.
pub const COUNTED_FROM: usize = 64 << 10;

/// The number of bytes that one unit stands for.
const UNIT: usize = 4 << 10;

/// A bounded amount of memory, which clients share fairly. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyBudget(Shares);

/// A share of a [`BodyBudget`], returned when it is dropped. By default it is of a trusted client.
#[derive(Debug, Default)]
#[must_use]
pub struct Held {
    share: Option<Share>,
    loads: Loads,
}

impl Held {
    /// Creates an empty share that counts towards these loads.
    pub fn by(loads: &Loads) -> Self {
        Self { share: None, loads: loads.clone() }
    }
}

impl BodyBudget {
    /// Creates a budget of `bytes` bytes, or of `largest` bytes if that is more, so that the largest body or answer
    /// always fits.
    #[must_use]
    pub fn new(bytes: usize, largest: usize) -> Self {
        Self::of(Kind::Bodies, bytes, largest)
    }

    /// Like [`Self::new`], for answers. What a client uses of it is counted apart from its bodies.
    #[must_use]
    pub fn for_answers(bytes: usize, largest: usize) -> Self {
        Self::of(Kind::Answers, bytes, largest)
    }

    fn of(kind: Kind, bytes: usize, largest: usize) -> Self {
        Self(Shares::new(kind, bytes.max(largest).div_ceil(UNIT)))
    }

    /// Changes its size, as [`Self::new`] chooses it. Shares that were taken remain.
    pub fn resize(&self, bytes: usize, largest: usize) {
        self.0.set_max(bytes.max(largest).div_ceil(UNIT));
    }

    /// Grows a share to `bytes` bytes. Sizes up to [`COUNTED_FROM`] need no share.
    ///
    /// # Errors
    /// [`Exceeded`]; the share keeps its size.
    pub fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), Exceeded> {
        if bytes <= COUNTED_FROM {
            return Ok(());
        }
        let units = bytes.div_ceil(UNIT);
        match &mut held.share {
            Some(share) => share.grow(units.saturating_sub(share.units())),
            none => {
                *none = Some(self.0.take_owned(&held.loads, units)?);
                Ok(())
            }
        }
    }

    /// Returns a share of `bytes` bytes, even if they are fewer than [`COUNTED_FROM`].
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn take(&self, bytes: usize, loads: &Loads) -> Result<Held, Exceeded> {
        let share = Some(self.0.take_owned(loads, bytes.div_ceil(UNIT))?);
        Ok(Held { share, loads: loads.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sizes_share_the_budget_and_return_their_share() {
        let mib = 1 << 20;
        let budget = BodyBudget::new(2 * mib, mib);
        let (mut one, mut other, mut small) = (Held::default(), Held::default(), Held::default());
        budget.grow(&mut one, mib / 2).unwrap();
        budget.grow(&mut one, mib).unwrap();
        budget.grow(&mut other, mib).unwrap();
        budget.grow(&mut small, COUNTED_FROM).unwrap();
        assert_eq!(budget.grow(&mut small, COUNTED_FROM + 1), Err(Exceeded::Bound));
        drop(one);
        budget.grow(&mut small, mib).unwrap();
        assert!(budget.grow(&mut small, usize::MAX).is_err());
    }
}
