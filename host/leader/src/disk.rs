//! The disk thread: appends large batches, so that the commit thread can build the next one meanwhile.

use crate::{
    apply::Done,
    commit::{Appender, Outcome},
    queue::Queue,
    shared::Submission,
};
use littoral_log::Batch;
use std::sync::mpsc::{Receiver, SyncSender};

/// A batch on its way to the disk, and what it is to be answered with.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) batch: Batch,
    pub(crate) done: Vec<Done>,
}

pub(crate) struct Disk {
    pub(crate) appender: Appender,
    pub(crate) sent: Receiver<Sent>,
    pub(crate) outcome: SyncSender<Outcome>,
}

impl Disk {
    /// Runs until the commit thread is gone.
    pub(crate) fn run(self) {
        let Self { appender, sent, outcome: sender } = self;
        let queue = &appender.shared.queue;
        // The commit thread must not wait for ever, also when something here panics: first the sender goes, then it is told.
        let _told = Told(queue);
        let outcome = sender;
        while let Ok(Sent { batch, done }) = sent.recv() {
            if outcome.send(appender.append(batch, done)).is_err() {
                break;
            }
            queue.nudge();
        }
    }
}

/// Has the commit thread look once more when this thread ends.
struct Told<'a>(&'a Queue<Submission>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.nudge();
    }
}
