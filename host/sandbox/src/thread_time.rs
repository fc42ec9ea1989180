//! How long a thread has computed, as the kernel counts it.

use crate::ticker::TICK;
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

thread_local! {
    /// When this thread asked the kernel last, and what it was told.
    static ASKED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// How long this thread has computed: a system call.
pub(crate) fn exact() -> Duration {
    let asked = Instant::now();
    let time = ask();
    ASKED.set(Some((asked, time)));
    time
}

/// How long this thread has computed, or up to a tick more: the kernel, which costs as much as a small module's whole work, is
/// asked once a tick, and in between the thread is taken to have computed all the time.
pub(crate) fn at_most() -> Duration {
    match ASKED.get().map(|(at, time)| (at.elapsed(), time)) {
        Some((since, time)) if since < TICK => time + since,
        _ => exact(),
    }
}

fn ask() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn it_is_never_less_than_what_was_computed_and_never_much_more() {
        let begun = Instant::now();
        while begun.elapsed() < 20 * TICK {
            let (before, said, after) = (ask(), at_most(), ask());
            assert!(before <= said && said < after + TICK, "{before:?} {said:?} {after:?}");
        }
        let before = at_most();
        thread::sleep(10 * TICK);
        assert!(at_most() < before + 5 * TICK, "what it slept is not computed");
    }
}
