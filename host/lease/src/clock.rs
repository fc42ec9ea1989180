//! The clock for leases.
//!
//! On Linux it also counts while the machine is suspended. The ordinary monotonic clock does not: after a laptop or a
//! virtual machine resumes, its leader would treat an expired lease as valid.

use std::{sync::Arc, time::Duration};

/// Returns the time since some origin. Never goes back, and is unrelated to the time of day.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Returns the system's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(now)
}

/// Reads the system's clock. All processes of one machine read the same time.
#[cfg(target_os = "linux")]
#[must_use]
pub fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Reads the time since the first call.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn now() -> Duration {
    use std::{sync::OnceLock, time::Instant};
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}
