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
    /// Takes the turn to log an event, if the last line is old enough. Returns whether it did.
    #[must_use]
    pub fn take_turn(&self) -> bool {
        let now = Instant::now();
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = logged.is_none_or(|logged| now.saturating_duration_since(logged) >= INTERVAL);
        if is_due {
            *logged = Some(now);
        }
        is_due
    }
}
