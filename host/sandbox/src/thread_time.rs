//! The processor time of a thread, as the kernel counts it.

use crate::ticker::TICK;
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

thread_local! {
    /// When this thread last queried the kernel, and the result.
    static QUERIED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// Returns the processor time of this thread, by a system call.
pub(crate) fn exact() -> Duration {
    let asked = Instant::now();
    let time = query();
    QUERIED.set(Some((asked, time)));
    time
}

/// Returns the processor time of this thread, or up to a tick more. The system call costs as much as a small module's
/// work, so the kernel is queried once per tick, and in between the thread is assumed to compute all the time.
pub(crate) fn at_most() -> Duration {
    match QUERIED.get().map(|(at, time)| (at.elapsed(), time)) {
        Some((since, time)) if since < TICK => time + since,
        _ => exact(),
    }
}

fn query() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn it_is_at_least_the_exact_time_and_at_most_a_tick_more() {
        let begun = Instant::now();
        while begun.elapsed() < 20 * TICK {
            let (before, reported, after) = (query(), at_most(), query());
            assert!(before <= reported && reported < after + TICK, "{before:?} {reported:?} {after:?}");
        }
        let before = at_most();
        thread::sleep(10 * TICK);
        assert!(at_most() < before + 5 * TICK, "sleep does not count");
    }
}
