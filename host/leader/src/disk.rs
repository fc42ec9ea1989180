//! The disk thread: appends large batches while the commit thread builds the next one. When a batch is durable, this thread appends
//! the batch that was built in the meantime itself: two changes of threads between two batches would leave the disk idle.

use crate::{
    commit::{Appender, Ended, Outcome, Pending},
    stage::{DiskExitGuard, Stage},
};
use littoral_log::Batch;
use std::sync::{Arc, mpsc::Receiver};

/// A batch for the disk thread, and what is answered once it is durable.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) batch: Batch,
    pub(crate) pending: Pending,
}

pub(crate) struct Disk {
    pub(crate) appender: Appender,
    pub(crate) sent: Receiver<Sent>,
    pub(crate) stage: Arc<Stage>,
}

impl Disk {
    /// Runs until the commit thread has ended.
    pub(crate) fn run(self) {
        let _exit = DiskExitGuard { stage: &self.stage, queue: &self.appender.shared.writes.queue };
        while let Ok(sent) = self.sent.recv() {
            let mut sent = Some(sent);
            while let Some(batch) = sent.take() {
                match self.proceed(self.appender.append(batch)) {
                    Ok(next) => sent = next,
                    // Another thread has ended early; `Threads::join` reports it.
                    Err(Ended) => return,
                }
            }
        }
    }

    /// Notes the outcome of the batch under way, and returns the next batch, if there is one.
    fn proceed(&self, outcome: Outcome) -> Result<Option<Sent>, Ended> {
        let shared = &*self.appender.shared;
        let mut sequencer = shared.writes.sequencer.lock();
        let mut batches = self.stage.lock();
        self.appender.settle(&mut sequencer, &mut batches, outcome)?;
        let sent = match batches.next.take() {
            Some(next) => {
                if next.bytes >= shared.config.batch_bytes_max {
                    // The batch was full, and the commit thread waits for room.
                    shared.writes.queue.nudge();
                }
                self.appender.finish(&mut sequencer, &mut batches, next)?
            }
            None => None,
        };
        if sent.is_none() {
            self.stage.settle();
        }
        Ok(sent)
    }
}
