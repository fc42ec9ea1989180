//! Batches that are durable in this node's log and wait to be committed, applied and acknowledged.
//!
//! The commit thread adds them here in the order of their records. The replication reports up to which record the log
//! is committed. The apply thread applies the committed batches and acknowledges their writes once the rows are
//! visible.
//!
//! A batch that is already committed when it is added keeps its rows and is applied from memory. Any other batch drops
//! its rows: another leader may replace its records until they are committed, so they are read back from the log.

use crate::{anti_entropy::Task, write_path::Responder};
use littoral_leader_core::{CommandEffect, Head, Records};
use littoral_model::{
    position::{Epoch, Lsn},
    write::WriteError,
};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// The maximum number of batches that wait for the apply thread with their rows in memory. The commit thread blocks
/// while there are this many.
const BATCHES_IN_MEMORY_MAX: usize = 4;

/// A write that is answered once it is visible.
#[derive(Debug)]
pub(crate) struct WaitingWrite {
    pub(crate) content: Content,
    pub(crate) responder: Responder,
}

/// A task of the apply thread, and where its result is sent.
#[derive(Debug)]
pub(crate) struct WaitingTask {
    pub(crate) task: Task,
    pub(crate) responder: Responder,
}

/// The records of a write.
#[derive(Debug)]
pub(crate) enum Content {
    /// The rows themselves, to apply from memory.
    InMemory(CommandEffect),
    /// Only the records' LSNs: the records are read back from the log.
    InLog(Records),
}

impl Content {
    /// Returns the LSNs of the write's records.
    pub(crate) fn records(&self) -> Records {
        match self {
            Self::InMemory(effect) => effect.records(),
            Self::InLog(records) => *records,
        }
    }
}

/// A batch that is durable in this node's log.
#[derive(Debug)]
pub(crate) struct AppendedBatch {
    /// The epoch in which it was appended.
    pub(crate) epoch: Epoch,
    /// Its last record. If it has none, the last record that its writes' results depend on.
    pub(crate) last: Lsn,
    /// The extent of the records to apply from memory; `None` if they are read back from the log, or if there are none.
    pub(crate) in_memory: Option<InMemory>,
    pub(crate) writes: Vec<WaitingWrite>,
}

/// The extent of a batch that is applied from memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InMemory {
    pub(crate) first: Lsn,
    pub(crate) head: Head,
}

/// What the apply thread does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Applies the batch from memory.
    Batch(AppendedBatch, Head),
    /// Reads the log up to this record and applies that.
    Log(Lsn),
    /// Applies nothing, because only results or tasks are due.
    Answers,
}

/// The error for a batch that is added after the apply thread has ended.
#[derive(Debug)]
pub(crate) struct ApplyThreadEnded;

/// The batches that wait, in the order of their records.
#[derive(Debug)]
pub struct CommitWaiters {
    state: Mutex<State>,
    changed: Condvar,
    writes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    committed: Lsn,
    batches: VecDeque<AppendedBatch>,
    in_memory: usize,
    /// Writes whose batches were not committed when they were appended.
    uncommitted: usize,
    tasks: Vec<WaitingTask>,
    closed: bool,
    apply_thread_ended: bool,
}

impl CommitWaiters {
    /// Creates the waiters of a log that is committed up to `committed`. At most `writes_max` writes wait for the
    /// replication.
    #[must_use]
    pub fn new(committed: Lsn, writes_max: usize) -> Self {
        let state = State { committed, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), writes_max }
    }

    /// Notes that every record up to `lsn` is committed.
    pub fn committed(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        if lsn > state.committed {
            state.committed = lsn;
            self.changed.notify_all();
        }
    }

    /// Rejects every write that waits for the replication, and every task, with `error`.
    pub fn fail(&self, error: &WriteError) {
        let (failed, tasks) = {
            let mut state = self.state.lock();
            let is_committed = |batch: &AppendedBatch| batch.in_memory.is_some();
            let (kept, failed): (VecDeque<_>, VecDeque<_>) = state.batches.drain(..).partition(is_committed);
            state.batches = kept;
            state.uncommitted = 0;
            (failed, std::mem::take(&mut state.tasks))
        };
        let writes = failed.into_iter().flat_map(|batch| batch.writes).map(|write| write.responder);
        for responder in writes.chain(tasks.into_iter().map(|task| task.responder)) {
            // The writer may have stopped waiting.
            let _ = responder.send(Err(error.clone()));
        }
    }

    /// Returns the last record that is committed.
    pub(crate) fn last_committed(&self) -> Lsn {
        self.state.lock().committed
    }

    /// Returns whether the maximum number of writes already waits for the replication, counting `more` that are not
    /// added yet.
    pub(crate) fn is_full(&self, more: usize) -> bool {
        self.state.lock().uncommitted + more >= self.writes_max
    }

    /// Adds a batch. If its rows are in memory, first blocks until fewer than [`BATCHES_IN_MEMORY_MAX`] such batches
    /// wait.
    pub(crate) fn push(&self, batch: AppendedBatch) -> Result<(), ApplyThreadEnded> {
        let mut state = self.state.lock();
        if let Some(InMemory { head, .. }) = batch.in_memory {
            while state.in_memory >= BATCHES_IN_MEMORY_MAX && !state.apply_thread_ended {
                self.changed.wait(&mut state);
            }
            state.in_memory += 1;
            state.committed = state.committed.max(head.lsn);
        } else {
            state.uncommitted += batch.writes.len();
        }
        if state.apply_thread_ended {
            return Err(ApplyThreadEnded);
        }
        state.batches.push_back(batch);
        self.changed.notify_all();
        Ok(())
    }

    /// Adds a task for the apply thread.
    pub(crate) fn push_task(&self, task: WaitingTask) {
        self.state.lock().tasks.push(task);
        self.changed.notify_all();
    }

    /// Blocks until there is work for the apply thread, which has applied everything up to `applied`. Returns `None`
    /// when no more batches arrive.
    pub(crate) fn next(&self, applied: Lsn) -> Option<Next> {
        let mut state = self.state.lock();
        loop {
            let first = state.batches.front();
            let in_memory = first.and_then(|batch| batch.in_memory);
            let answers = first.is_some_and(|batch| batch.last <= applied) || !state.tasks.is_empty();
            if let Some(InMemory { head, .. }) = in_memory.filter(|batch| batch.first == applied.next())
                && let Some(batch) = state.batches.pop_front()
            {
                self.note_removed(&mut state, &batch);
                return Some(Next::Batch(batch, head));
            }
            if state.committed > applied {
                let before = in_memory.filter(|batch| batch.first > applied).map(|batch| Lsn(batch.first.0 - 1));
                return Some(Next::Log(before.unwrap_or(state.committed).min(state.committed)));
            }
            if answers {
                return Some(Next::Answers);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn note_removed(&self, state: &mut State, batch: &AppendedBatch) {
        match batch.in_memory {
            Some(_) => {
                state.in_memory -= 1;
                self.changed.notify_all();
            }
            None => state.uncommitted = state.uncommitted.saturating_sub(batch.writes.len()),
        }
    }

    /// Removes and returns the batches whose records are all applied, as everything up to `lsn` is.
    pub(crate) fn applied(&self, lsn: Lsn) -> Vec<AppendedBatch> {
        let mut state = self.state.lock();
        let mut applied = Vec::new();
        while let Some(mut batch) = state.batches.pop_front_if(|first| first.last <= lsn) {
            self.note_removed(&mut state, &batch);
            batch.writes.iter_mut().for_each(|write| write.content = Content::InLog(write.content.records()));
            applied.push(batch);
        }
        applied
    }

    /// Removes and returns the tasks that wait.
    pub(crate) fn tasks(&self) -> Vec<WaitingTask> {
        std::mem::take(&mut self.state.lock().tasks)
    }

    /// Ends the apply thread once it has applied and answered everything that waits.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Notes that the apply thread has ended: no further batch is accepted.
    pub(crate) fn apply_thread_ended(&self) {
        let (batches, tasks) = {
            let mut state = self.state.lock();
            state.apply_thread_ended = true;
            (std::mem::take(&mut state.batches), std::mem::take(&mut state.tasks))
        };
        // Dropping the responders wakes the waiting writes.
        drop((batches, tasks));
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{hlc::Hlc, record::ChainHash};
    use tokio::sync::oneshot::{self, error::TryRecvError};

    type Answer = oneshot::Receiver<Result<littoral_model::write::WriteReceipt, WriteError>>;

    fn batch(first: u64, last: u64, in_memory: bool) -> (AppendedBatch, Answer) {
        let (responder, answer) = oneshot::channel();
        let (first, last) = (Lsn(first), Lsn(last));
        let head = Head { lsn: last, chain: ChainHash::GENESIS, hlc: Hlc::new(1, 0) };
        let content = Content::InLog(Records { first, last, duplicate: false });
        let in_memory = in_memory.then_some(InMemory { first, head });
        (AppendedBatch { epoch: Epoch(1), last, in_memory, writes: vec![WaitingWrite { content, responder }] }, answer)
    }

    #[test]
    fn a_batch_is_applied_from_memory_only_when_everything_before_it_is_applied() {
        let waiters = CommitWaiters::new(Lsn(2), 10);
        waiters.push(batch(5, 6, true).0).unwrap();
        let Some(Next::Log(through)) = waiters.next(Lsn(2)) else { panic!("records 3 and 4 come from the log") };
        assert_eq!(through, Lsn(4));
        assert!(matches!(waiters.next(Lsn(4)), Some(Next::Batch(_, head)) if head.lsn == Lsn(6)));
        waiters.push(batch(7, 9, true).0).unwrap();
        assert!(matches!(waiters.next(Lsn(7)), Some(Next::Log(Lsn(9)))), "a part of it was read from the log");
        assert!(matches!(waiters.next(Lsn(9)), Some(Next::Answers)));
        assert_eq!(waiters.applied(Lsn(9)).len(), 1);
        waiters.close();
        assert!(waiters.next(Lsn(9)).is_none());
    }

    #[test]
    fn writes_that_wait_for_the_replication_are_bounded_and_answered_once_committed_or_failed() {
        let waiters = CommitWaiters::new(Lsn(0), 2);
        let (first, _first) = batch(1, 1, false);
        let (second, mut second_answer) = batch(2, 2, false);
        waiters.push(first).unwrap();
        assert!(!waiters.is_full(0) && waiters.is_full(1));
        waiters.push(second).unwrap();
        assert!(waiters.is_full(0));
        waiters.committed(Lsn(1));
        assert!(matches!(waiters.next(Lsn(0)), Some(Next::Log(Lsn(1)))));
        assert_eq!(waiters.applied(Lsn(1)).len(), 1);
        assert!(!waiters.is_full(0));
        assert!(matches!(second_answer.try_recv(), Err(TryRecvError::Empty)));
        waiters.fail(&WriteError::Overloaded);
        assert!(matches!(second_answer.try_recv(), Ok(Err(WriteError::Overloaded))));
        assert!(!waiters.is_full(1));
    }

    #[test]
    fn nothing_waits_for_an_apply_thread_that_has_ended() {
        let waiters = CommitWaiters::new(Lsn(0), 2);
        let (batch, mut answer) = batch(1, 1, true);
        waiters.push(batch).unwrap();
        waiters.apply_thread_ended();
        assert!(matches!(answer.try_recv(), Err(TryRecvError::Closed)));
        assert!(waiters.push(self::batch(2, 2, true).0).is_err());
    }
}
