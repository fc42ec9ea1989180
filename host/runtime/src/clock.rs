//! The one place that reads the wall clock for a process. What decides anything takes time as an argument.

use littoral_model::event_time::EventTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock's reading, in nanoseconds since 1970. Zero when the clock stands before 1970.
#[must_use]
pub fn wall() -> EventTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_wall_clock_stands_after_the_year_2020() {
        assert!(super::wall() > "2020-01-01T00:00:00Z".parse().unwrap());
    }
}
