//! Work that several threads share for a while, such as restoring rows at a start.

use std::{
    sync::{Mutex, PoisonError, mpsc::sync_channel},
    thread,
};

/// How many parts are read ahead of the threads.
const PARTS_AHEAD: usize = 4;

/// Returns the number of threads that use all cores of the host.
#[must_use]
pub fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Calls `work` with each part that `next` returns until it returns none, in any order, on this many threads of this
/// name. Returns when all calls have returned. Calls `next` on this thread. Without threads, this one does all work.
pub fn share_work<T: Send>(threads: usize, name: &str, next: &mut dyn FnMut() -> Option<T>, work: &(dyn Fn(T) + Sync)) {
    let (sender, receiver) = sync_channel::<T>(PARTS_AHEAD);
    let receiver = Mutex::new(receiver);
    let receive = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    thread::scope(|scope| {
        let mut started = 0;
        for _ in 0..threads {
            let running = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, || {
                while let Ok(part) = receive() {
                    work(part);
                }
            });
            started += usize::from(running.is_ok());
        }
        while let Some(part) = next() {
            match started {
                0 => work(part),
                _ => drop(sender.send(part)),
            }
        }
        drop(sender);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn every_part_is_done_once_with_and_without_threads() {
        for threads in [0, 1, 3] {
            let (mut parts, sum) = (1..=1_000_u64, AtomicU64::new(0));
            share_work(threads, "test", &mut || parts.next(), &|part| {
                sum.fetch_add(part, Relaxed);
            });
            assert_eq!(sum.into_inner(), 500_500, "{threads} threads");
        }
    }
}
