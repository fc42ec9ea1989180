//! Pseudo-random numbers that are the same in every run, and the Zipf distribution of popular keys.

use fastrand::Rng;

/// A sequence of random numbers that is the same in every run.
#[derive(Clone, Debug)]
pub struct Random(Rng);

impl Random {
    /// Starts the sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Returns the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Returns the next number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(..bound.max(1))
    }

    /// Returns the next number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }
}

/// Zipf-distributed ranks by the method of Gray et al. (SIGMOD 1994), as YCSB draws them. Ranks are scattered over the
/// keys, so that popular keys do not lie side by side.
#[derive(Clone, Debug)]
pub struct Zipf {
    items: u64,
    theta: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// Over this many items, with this exponent below 1.
    pub fn new(items: u64, theta: f64) -> Self {
        let zeta = |n: u64| (1..=n).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
        let (zeta, zeta_2) = (zeta(items), zeta(2.min(items)));
        let eta = (1.0 - (2.0 / items as f64).powf(1.0 - theta)) / (1.0 - zeta_2 / zeta);
        Self { items, theta, alpha: 1.0 / (1.0 - theta), zeta, eta }
    }

    /// The next item.
    pub fn next(&self, random: &mut Random) -> u64 {
        let scattered = |rank: u64| Random::new(rank).next_u64() % self.items;
        scattered(self.rank(random))
    }

    fn rank(&self, random: &mut Random) -> u64 {
        let u = random.unit();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5_f64.powf(self.theta) {
            return 1;
        }
        let rank = self.items as f64 * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.items - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_is_as_popular_as_zipf_says() {
        let zipf = Zipf::new(1_000, 0.99);
        let mut random = Random::new(1);
        let firsts = (0..100_000).filter(|_| zipf.rank(&mut random) == 0).count();
        let expected = 100_000.0 / zipf.zeta;
        assert!((firsts as f64 - expected).abs() < expected * 0.05, "{firsts} beside {expected}");
        assert!((0..10_000).all(|_| zipf.next(&mut random) < 1_000));
    }
}
