//! Limits how many lines all calls of one release may log: a busy module must not flood the host's log.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Admits a number of lines per second.
#[derive(Debug)]
pub(crate) struct Meter {
    lines_per_second: u64,
    second: Mutex<Second>,
}

#[derive(Debug, Default)]
struct Second {
    begun: Option<Instant>,
    lines: u64,
}

impl Meter {
    pub(crate) fn new(lines_per_second: u64) -> Self {
        Self { lines_per_second, second: Mutex::default() }
    }

    /// Returns whether a line may be logged. Otherwise counts it in `littoral_module_lines_dropped_total`.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut second = self.second.lock();
        if second.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= SECOND) {
            *second = Second { begun: Some(now), lines: 0 };
        }
        second.lines += 1;
        let admitted = second.lines <= self.lines_per_second;
        if !admitted {
            metrics::counter!("littoral_module_lines_dropped_total").increment(1);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_dropped_until_the_next_second() {
        let meter = Meter::new(2);
        let start = Instant::now();
        assert_eq!([0, 10, 999].map(|ms| meter.admits(start + Duration::from_millis(ms))), [true, true, false]);
        assert_eq!(
            [1_000, 1_001, 1_002].map(|ms| meter.admits(start + Duration::from_millis(ms))),
            [true, true, false]
        );
    }
}
