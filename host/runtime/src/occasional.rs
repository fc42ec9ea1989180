//! Lines of the log that a flood of events must not multiply.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Permits a line of the log from time to time.
#[derive(Debug, Default)]
pub struct Occasional(Mutex<Option<Instant>>);

impl Occasional {
    /// Returns whether an event may be logged now.
    #[must_use]
    pub fn may_log(&self) -> bool {
        let now = Instant::now();
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = logged.is_none_or(|logged| now.saturating_duration_since(logged) >= INTERVAL);
        if may {
            *logged = Some(now);
        }
        may
    }
}
