//! The threads of an open log.

use crate::{anti_entropy, apply, commit::CommitThread, commit_waiters::CommitWaiters, maintain, shared::Shared};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

/// The threads of an open log.
pub(crate) struct Threads {
    commit: JoinHandle<()>,
    apply: JoinHandle<()>,
    maintain: JoinHandle<()>,
    scrub: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Threads {
    /// Starts the threads. The log already has `replayed_bytes` bytes after the last snapshot.
    pub(crate) fn start(shared: &Arc<Shared>, replayed_bytes: u64) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let maintain = {
            let (shared, stop) = (shared.clone(), stop.clone());
            named("leader-upkeep").spawn(move || maintain::run(&shared, &stop, replayed_bytes))?
        };
        let scrub = {
            let (shared, stop) = (shared.clone(), stop.clone());
            named("leader-scrub").spawn(move || anti_entropy::run(&shared, &stop))?
        };
        let apply = {
            let shared = shared.clone();
            named("leader-apply").spawn(move || apply::run(&shared))?
        };
        let commit = CommitThread { shared: shared.clone(), maintenance: maintain.thread().clone() };
        let commit = named("leader-commit").spawn(move || commit.run())?;
        Ok(Self { commit, apply, maintain, scrub, stop })
    }

    /// Waits until every accepted write is durable, applied and answered, then ends the threads.
    pub(crate) fn join(self, commits: &CommitWaiters) {
        let join = |name: &str, thread: JoinHandle<()>| {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(name, "a thread of the leader has panicked");
            }
        };
        join("commit", self.commit);
        commits.close();
        join("apply", self.apply);
        self.stop.store(true, Relaxed);
        join("upkeep", self.maintain);
        join("scrub", self.scrub);
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}
