//! A budget of extra requests: retries and hedges are limited to a share of the requests, and a burst. Without it, a
//! struggling region would receive twice the load.

use serde::Deserialize;

/// The limits of extra requests.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The extra requests per request, on average. A retry is extra if something of the first attempt was sent, to a
    /// door that remains usable. Default 0.2.
    pub share: f64,
    /// The extra requests that may be made at once after a time without. A count. Default 100.
    pub burst: u32,
}

/// The remaining budget, in thousandths of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u64,
    most: u64,
    each: u64,
}

/// One request, in the unit of [`Budget`].
const WHOLE: u64 = 1_000;

impl Default for Config {
    fn default() -> Self {
        Self { share: 0.2, burst: 100 }
    }
}

// === impl Budget ===

impl Budget {
    /// Creates a full budget.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let most = u64::from(config.burst) * WHOLE;
        Self { left: most, most, each: (config.share.clamp(0.0, 10.0) * WHOLE as f64) as u64 }
    }

    /// Counts a request.
    pub fn deposit(&mut self) {
        self.left = self.most.min(self.left + self.each);
    }

    /// Withdraws an extra request, if one remains. Returns whether it did.
    #[must_use]
    pub fn withdraw(&mut self) -> bool {
        let there = self.left >= WHOLE;
        if there {
            self.left -= WHOLE;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extra_requests_are_limited_to_a_share_and_a_burst() {
        let mut budget = Budget::new(&Config { share: 0.5, burst: 2 });
        let taken = |budget: &mut Budget| (0..10).filter(|_| budget.withdraw()).count();
        assert_eq!(taken(&mut budget), 2);
        (0..4).for_each(|_| budget.deposit());
        assert_eq!(taken(&mut budget), 2);
        (0..1_000).for_each(|_| budget.deposit());
        assert_eq!(taken(&mut budget), 2, "the budget does not grow beyond the burst");
    }

    proptest! {
        #[test]
        fn extra_requests_never_exceed_the_share_and_the_burst(
            share in 0.0..2.0f64, burst in 0u32..50, wishes in proptest::collection::vec(0usize..4, 1..400),
        ) {
            let mut budget = Budget::new(&Config { share, burst });
            let mut extra = 0;
            for wish in &wishes {
                budget.deposit();
                extra += (0..*wish).filter(|_| budget.withdraw()).count();
            }
            prop_assert!(extra as f64 <= share * wishes.len() as f64 + f64::from(burst) + 1e-6);
        }
    }
}
