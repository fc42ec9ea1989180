//! The one place that reads the wall clock: clippy rejects `SystemTime::now` everywhere else. Code that decides takes
//! the time as an argument.

use littoral_model::event_time::EventTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the wall clock's reading, to compare it with the times of files.
#[must_use]
pub fn system() -> SystemTime {
    #[allow(clippy::disallowed_methods, reason = "this is the one caller")]
    SystemTime::now()
}

/// Returns the wall clock's reading in nanoseconds since 1970, or zero if the clock is set to an earlier time.
#[must_use]
pub fn wall() -> EventTime {
    let since_epoch = system().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// Returns the wall clock's reading in milliseconds since 1970, or zero if the clock is set to an earlier time.
#[must_use]
pub fn wall_ms() -> u64 {
    (wall().0 / 1_000_000).cast_unsigned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_wall_clock_reads_later_than_the_year_2020() {
        assert!(super::wall() > "2020-01-01T00:00:00Z".parse().unwrap());
    }
}
