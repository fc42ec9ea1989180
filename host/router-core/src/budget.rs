//! A budget of extra requests: retries and hedges may be a share of the requests, and a burst, and no more. Without it a
//! region that struggles would be sent twice the load.

use serde::Deserialize;

/// How many extra requests may be made.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For each request so many extra ones may be made, on average. Of retries, those are extra of whose first request
    /// something was sent, to a door that keeps its place. Default 0.2.
    pub share: f64,
    /// So many may be made at once after a time without. A count. Default 100.
    pub burst: u32,
}

/// What is left of it, in thousandths of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u64,
    most: u64,
    each: u64,
}

/// One request.
const WHOLE: u64 = 1_000;

impl Default for Config {
    fn default() -> Self {
        Self { share: 0.2, burst: 100 }
    }
}

// === impl Budget ===

impl Budget {
    /// A full one.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let most = u64::from(config.burst) * WHOLE;
        Self { left: most, most, each: (config.share.clamp(0.0, 10.0) * WHOLE as f64) as u64 }
    }

    /// A request was made.
    pub fn deposit(&mut self) {
        self.left = self.most.min(self.left + self.each);
    }

    /// Takes an extra request out, if there is one left.
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
    fn a_share_and_a_burst_and_no_more() {
        let mut budget = Budget::new(&Config { share: 0.5, burst: 2 });
        let taken = |budget: &mut Budget| (0..10).filter(|_| budget.withdraw()).count();
        assert_eq!(taken(&mut budget), 2);
        (0..4).for_each(|_| budget.deposit());
        assert_eq!(taken(&mut budget), 2);
        (0..1_000).for_each(|_| budget.deposit());
        assert_eq!(taken(&mut budget), 2, "it does not pile up");
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
