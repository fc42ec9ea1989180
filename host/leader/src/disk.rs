//! The disk thread: appends large batches, so that the commit thread can build the next one meanwhile. When one is durable it goes
//! on by itself with what has been built: two changes of threads between two batches would leave the disk idle.

use crate::{
    apply::Done,
    commit::{Appender, Ended, Outcome},
    stage::{Stage, Told},
};
use littoral_log::Batch;
use std::sync::{Arc, mpsc::Receiver};

/// A batch on its way to the disk, and what it is to be answered with.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) batch: Batch,
    pub(crate) done: Vec<Done>,
}

pub(crate) struct Disk {
    pub(crate) appender: Appender,
    pub(crate) sent: Receiver<Sent>,
    pub(crate) stage: Arc<Stage>,
}

impl Disk {
    /// Runs until the commit thread is gone.
    pub(crate) fn run(self) {
        let _told = Told { stage: &self.stage, queue: &self.appender.shared.queue };
        while let Ok(sent) = self.sent.recv() {
            let mut sent = Some(sent);
            while let Some(Sent { batch, done }) = sent.take() {
                match self.go_on(self.appender.append(batch, done)) {
                    Ok(next) => sent = next,
                    // Another thread has ended before its time, which whoever joins it reports.
                    Err(Ended) => return,
                }
            }
        }
    }

    /// Takes note of what became of the batch that was under way, and sends the next one on its way, if there is one.
    fn go_on(&self, outcome: Outcome) -> Result<Option<Sent>, Ended> {
        let shared = &*self.appender.shared;
        let mut core = shared.core.lock();
        let mut batches = self.stage.lock();
        self.appender.arrived(&mut core, &mut batches, outcome)?;
        let sent = match batches.next.take() {
            Some(next) => {
                if next.bytes >= shared.config.batch_bytes_max {
                    // There was no room in it, and the commit thread waits for some.
                    shared.queue.nudge();
                }
                self.appender.finish(&mut core, &mut batches, next)?
            }
            None => None,
        };
        if sent.is_none() {
            self.stage.settle();
        }
        Ok(sent)
    }
}
