//! What the commit thread and the disk thread share: the batch under way to the disk, and the batch in the making.

use crate::{commit::Pending, queue::Queue, write_path::Submission};
use littoral_leader_core::{Building, commit};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// The batches before they are durable. The lock is taken after the sequencer's ([`crate::shared`]).
#[derive(Debug, Default)]
pub(crate) struct Stage {
    batches: Mutex<Batches>,
    settled: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// The effects of the batch under way, which are reverted if it fails.
    pub(crate) under_way: Option<commit::Pending>,
    /// The batch to append after that one.
    pub(crate) next: Option<Next>,
    /// Whether the disk thread has ended.
    pub(crate) disk_gone: bool,
}

/// A batch in the making.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) building: Building,
    pub(crate) pending: Pending,
    /// Bytes of the writes in it, about.
    pub(crate) bytes: usize,
}

impl Stage {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock()
    }

    /// Wakes the commit thread once nothing is under way any more.
    pub(crate) fn settle(&self) {
        self.settled.notify_all();
    }

    /// Waits until nothing is under way, or the disk thread has ended.
    pub(crate) fn wait_until_settled(&self) {
        self.settled.wait_while(&mut self.lock(), |batches| batches.under_way.is_some() && !batches.disk_gone);
    }
}

/// Drop guard: wakes the commit thread when the disk thread exits, even by panic.
pub(crate) struct DiskExitGuard<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) queue: &'a Queue<Submission>,
}

impl Drop for DiskExitGuard<'_> {
    fn drop(&mut self) {
        self.stage.lock().disk_gone = true;
        self.stage.settle();
        self.queue.nudge();
    }
}
