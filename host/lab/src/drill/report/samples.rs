//! The outcomes of single requests, and their percentiles.

/// One request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent, in milliseconds since the drill began.
    pub sent_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Whether it was a write.
    pub write: bool,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered; for a read with the staleness in milliseconds, if known.
    Good(Option<u64>),
    /// The answer lacks an acknowledged write that only an unreachable region has.
    Behind,
    /// It was not answered.
    Failed,
}

/// A half-open interval of a drill, in milliseconds since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub from_ms: u64,
    /// Where it ends.
    pub until_ms: u64,
}

impl Window {
    /// Returns whether a request was sent within it.
    #[must_use]
    pub fn includes(&self, sample: &Sample) -> bool {
        (self.from_ms..self.until_ms).contains(&sample.sent_ms)
    }
}

impl Sample {
    /// Returns when it ended, in milliseconds since the drill began, rounded up.
    #[must_use]
    pub fn done_ms(&self) -> u64 {
        self.sent_ms + self.took_us.div_ceil(1_000)
    }
}

/// Returns a percentile of the latencies of a window's requests, in milliseconds; zero without any.
#[must_use]
pub fn percentile(samples: &[Sample], window: Window, write: bool, percent: f64) -> f64 {
    let mut took: Vec<u64> = (samples.iter())
        .filter(|sample| sample.write == write && window.includes(sample))
        .map(|sample| sample.took_us)
        .collect();
    took.sort_unstable();
    let rank = (took.len() as f64 * percent / 100.0).ceil() as usize;
    took.get(rank.saturating_sub(1)).map_or(0.0, |us| *us as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_of_its_window_and_kind() {
        let sample = |sent_ms, took_us, write| Sample { sent_ms, took_us, write, outcome: Outcome::Failed };
        let samples: Vec<_> = (1..=100).map(|at| sample(at, at * 1_000, false)).chain([sample(5, 1, true)]).collect();
        let all = Window { from_ms: 0, until_ms: 1_000 };
        assert_eq!(percentile(&samples, all, false, 99.0), 99.0);
        assert_eq!(percentile(&samples, Window { from_ms: 1, until_ms: 11 }, false, 100.0), 10.0);
        assert_eq!(percentile(&samples, all, true, 99.0), 0.001);
        assert_eq!(percentile(&[], all, true, 99.0), 0.0);
    }
}
