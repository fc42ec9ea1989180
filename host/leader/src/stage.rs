//! Where the commit thread and the disk thread meet: the batch that is on its way to the disk, and the one in the making.

use crate::{apply::Done, queue::Queue, shared::Submission};
use littoral_leader_core::{Building, commit::Pending};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// What the two threads share. Whoever takes the core's lock too takes that first.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    batches: Mutex<Batches>,
    settled: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// Of the batch that is on its way to the disk.
    pub(crate) under_way: Option<Pending>,
    /// What is to be appended after it.
    pub(crate) next: Option<Next>,
    /// Whether nobody takes batches to the disk any more.
    pub(crate) disk_gone: bool,
}

/// A batch in the making, and what it is to be answered with.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) building: Building,
    pub(crate) done: Vec<Done>,
    /// Bytes of the writes in it, about.
    pub(crate) bytes: usize,
}

impl Stage {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock()
    }

    /// Says that nothing is on its way any more.
    pub(crate) fn settle(&self) {
        self.settled.notify_all();
    }

    /// Waits until nothing is on its way, or nobody will say so.
    pub(crate) fn wait_until_settled(&self) {
        self.settled.wait_while(&mut self.lock(), |batches| batches.under_way.is_some() && !batches.disk_gone);
    }
}

/// Has the commit thread know when the disk thread ends, also when something there panics: it must not wait for ever.
pub(crate) struct Told<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) queue: &'a Queue<Submission>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.stage.lock().disk_gone = true;
        self.stage.settle();
        self.queue.nudge();
    }
}
