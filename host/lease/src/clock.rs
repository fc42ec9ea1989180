//! The clock by which leases run.
//!
//! It goes on while the machine is suspended, where the system tells that: by the ordinary monotonic clock a laptop's or a
//! virtual machine's sleep would not have happened, and its leader would wake up as one whose lease still runs.

use std::{sync::Arc, time::Duration};

/// Time since some origin: never goes back, and is nobody's time of day.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(now)
}

/// The time by the system's clock. All processes of one machine read the same.
#[cfg(target_os = "linux")]
#[must_use]
pub fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The time by the system's clock, since it was first asked.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn now() -> Duration {
    use std::{sync::OnceLock, time::Instant};
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}
