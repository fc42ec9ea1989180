//! What the apply thread of a member waits for: records that became committed, and tasks in their turn.

use crate::{
    proof::Task,
    shared::{Answer, Reply},
};
use littoral_model::{
    position::{Epoch, Lsn},
    write::{WriteError, WriteReceipt},
};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// A write that is answered once it is applied.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Its last record.
    pub(crate) last: Lsn,
    /// The leadership that took it.
    pub(crate) epoch: Epoch,
    pub(crate) receipt: WriteReceipt,
    pub(crate) reply: Reply,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Everything up to here is committed.
    pub(crate) committed: Lsn,
    pub(crate) tasks: Vec<(Task, Reply)>,
}

#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    committed: Lsn,
    waiting: VecDeque<Waiting>,
    tasks: Vec<(Task, Reply)>,
    closed: bool,
}

impl Turns {
    /// Everything up to here is committed.
    pub(crate) fn committed(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        if lsn > state.committed {
            state.committed = lsn;
            self.came.notify_one();
        }
    }

    /// A write waits to be applied. Those that come later end later.
    pub(crate) fn wait_for(&self, waiting: Waiting) {
        self.state.lock().waiting.push_back(waiting);
        // It may be applied already.
        self.came.notify_one();
    }

    /// Something to do between two records.
    pub(crate) fn task(&self, task: Task, reply: Reply) {
        self.state.lock().tasks.push((task, reply));
        self.came.notify_one();
    }

    /// The next turn, when more is committed than `applied`, or somebody waits for what is applied, or a task does. `None` when
    /// there will be none.
    pub(crate) fn next(&self, applied: Lsn) -> Option<Turn> {
        let mut state = self.state.lock();
        loop {
            let answers = state.waiting.front().is_some_and(|first| first.last <= applied);
            if state.committed > applied || answers || !state.tasks.is_empty() {
                return Some(Turn { committed: state.committed, tasks: std::mem::take(&mut state.tasks) });
            }
            if state.closed {
                return None;
            }
            self.came.wait(&mut state);
        }
    }

    /// The writes that are applied with this.
    pub(crate) fn applied(&self, lsn: Lsn) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let mut done = Vec::new();
        while let Some(first) = state.waiting.pop_front_if(|first| first.last <= lsn) {
            done.push(first);
        }
        done
    }

    /// The leadership is over: what became of these writes is not known here.
    pub(crate) fn give_up(&self, why: &WriteError) {
        let (waiting, tasks) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.waiting), std::mem::take(&mut state.tasks))
        };
        let replies = waiting.into_iter().map(|waiting| waiting.reply).chain(tasks.into_iter().map(|(_, reply)| reply));
        for reply in replies {
            // Nobody may be waiting any more.
            let _: Result<(), Answer> = reply.send(Err(why.clone()));
        }
    }

    /// There is no more to come: the thread ends once everything is done.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.came.notify_all();
    }
}
