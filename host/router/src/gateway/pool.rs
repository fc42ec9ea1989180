//! Connections to doors that wait for their next request.

use crate::{decision::door::DoorId, gateway::upstream::Upstream};
use littoral_runtime::per_thread::PerThread;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Idle connections by door. Each is kept for the thread that used it last, because that thread's poller wakes it.
pub(crate) struct Pool {
    idle: PerThread<Mutex<HashMap<DoorId, Vec<Upstream>>>>,
    each_max: usize,
    keep: Duration,
}

impl Pool {
    pub(crate) fn new(each_max: usize, keep: Duration) -> Self {
        Self { idle: PerThread::new(Mutex::default), each_max, keep }
    }

    /// Takes the connection to a door that this thread used last, among those that can still be used.
    pub(crate) fn take(&self, door: DoorId) -> Option<Upstream> {
        loop {
            let mut upstream = self.idle.here().lock().get_mut(&door)?.pop()?;
            if upstream.idle_for(Instant::now()) < self.keep && upstream.check_open() {
                return Some(upstream);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end, if it can be used again and the thread keeps fewer than the
    /// limit for the door.
    pub(crate) fn put(&self, door: DoorId, upstream: Upstream) {
        let Some(upstream) = upstream.kept() else { return };
        let mut idle = self.idle.here().lock();
        let idle = idle.entry(door).or_default();
        if idle.len() < self.each_max {
            idle.push(upstream);
        }
    }

    /// Closes connections that have been idle for too long, and those to doors that receive no more requests.
    pub(crate) fn sweep(&self, is_there: impl Fn(DoorId) -> bool) {
        let now = Instant::now();
        let mut closed = Vec::new();
        for idle in self.idle.all() {
            idle.lock().retain(|door, connections| {
                let there = is_there(*door);
                closed.extend(connections.extract_if(.., |upstream| !there || upstream.idle_for(now) >= self.keep));
                there
            });
        }
        // Closes them after the lock is released, because closing is a call to the system.
        drop(closed);
    }
}
