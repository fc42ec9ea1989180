//! Keys of which a few are far more popular than the others.

use crate::bench::failure::Failure;
use rand::{SeedableRng as _, rngs::SmallRng};
use rand_distr::{Distribution as _, Zipf};

/// Zipf-distributed keys. Their ranks are scattered, so that popular keys do not lie side by side.
#[derive(Debug)]
pub struct Popular {
    keys: u64,
    ranks: Zipf<f64>,
    random: SmallRng,
}

impl Popular {
    /// Returns the sequence of a seed over this many keys, with this exponent.
    ///
    /// # Errors
    /// When there are no keys, or the exponent is negative.
    pub fn new(keys: u64, exponent: f64, seed: u64) -> Result<Self, Failure> {
        let ranks =
            Zipf::new(keys as f64, exponent).map_err(|error| Failure::new("the distribution of keys", error))?;
        Ok(Self { keys, ranks, random: SmallRng::seed_from_u64(seed) })
    }

    /// Returns the next key.
    pub fn next(&mut self) -> u64 {
        fastrand::Rng::with_seed(self.rank()).u64(..self.keys)
    }

    /// The most popular rank is 1.
    fn rank(&mut self) -> u64 {
        self.ranks.sample(&mut self.random) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_is_as_popular_as_zipf_says() {
        let mut popular = Popular::new(1_000, 0.99, 1).unwrap();
        let firsts = (0..100_000).filter(|_| popular.rank() == 1).count();
        let expected = 100_000.0 / (1..=1_000).map(|rank| f64::from(rank).powf(-0.99)).sum::<f64>();
        assert!((firsts as f64 - expected).abs() < expected * 0.05, "{firsts}, expected {expected}");
        assert!((0..10_000).all(|_| popular.next() < 1_000));
    }
}
