//! What a write passes through until it is durable: the queue, the sequencer, and the receipts of idempotency keys.

use crate::{
    anti_entropy::Task,
    queue::{PushError, Queue},
};
use arc_swap::ArcSwapOption;
use littoral_leader_core::{LogCommand, Receipts, Sequencer};
use littoral_log::AppendError;
use littoral_model::{
    position::Lsn,
    write::{WriteError, WriteReceipt},
};
use littoral_runtime::trace::{self, TraceContext};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::oneshot::{self, error::RecvError};

/// The result of a job.
pub(crate) type WriteResult = Result<WriteReceipt, WriteError>;

/// Sends a job's result to its submitter.
pub(crate) type Responder = oneshot::Sender<WriteResult>;

/// Receives a job's result.
pub(crate) type Response = oneshot::Receiver<WriteResult>;

/// A job for the leader's threads.
#[derive(Debug)]
pub(crate) enum Job {
    /// Appends records to the log.
    Append(LogCommand),
    /// Appends nothing: the apply thread carries it out between two batches.
    Task(Task),
}

#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) job: Job,
    pub(crate) responder: Responder,
    /// The trace of the write, if it is sampled.
    pub(crate) context: Option<Box<TraceContext>>,
}

/// The stages that a write passes through until it is durable, with their counters.
#[derive(Debug)]
pub(crate) struct WritePath {
    pub(crate) queue: Queue<Submission>,
    /// Assigns writes their place in the log. Held while a batch is appended.
    pub(crate) sequencer: Mutex<Sequencer>,
    pub(crate) receipts: Mutex<Receipts>,
    pub(crate) health: LogHealth,
    /// The last record that was acknowledged before it was applied.
    acknowledged: AtomicU64,
    appended_bytes: AtomicU64,
    batches: AtomicU64,
}

impl WritePath {
    pub(crate) fn new(queue: Queue<Submission>, sequencer: Sequencer, receipts: Receipts) -> Self {
        Self {
            queue,
            sequencer: Mutex::new(sequencer),
            receipts: Mutex::new(receipts),
            health: LogHealth::default(),
            acknowledged: AtomicU64::new(0),
            appended_bytes: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        }
    }

    /// Submits a job of about `bytes` bytes.
    pub(crate) fn submit(&self, job: Job, bytes: usize) -> Result<Response, PushError> {
        let (responder, response) = oneshot::channel();
        let context = trace::current().filter(|context| context.sampled).map(Box::new);
        self.queue.push(Submission { job, responder, context }, bytes).map(|()| response)
    }

    /// Submits a job and waits for its result.
    pub(crate) async fn run(&self, job: Job, bytes: usize) -> WriteResult {
        result(self.submit(job, bytes)?.await)
    }

    /// Returns the last record that was acknowledged before it was applied.
    pub(crate) fn acknowledged(&self) -> Lsn {
        Lsn(self.acknowledged.load(Relaxed))
    }

    /// Notes that a record is acknowledged, although it is not applied yet.
    pub(crate) fn acknowledge(&self, lsn: Lsn) {
        self.acknowledged.fetch_max(lsn.0, Relaxed);
    }

    /// Counts an appended batch. Returns the bytes that were appended before it.
    pub(crate) fn count_batch(&self, bytes: u64) -> u64 {
        self.batches.fetch_add(1, Relaxed);
        self.appended_bytes.fetch_add(bytes, Relaxed)
    }

    /// Returns the bytes of records appended since the start.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Relaxed)
    }

    /// Returns the number of batches appended since the start.
    pub(crate) fn batches(&self) -> u64 {
        self.batches.load(Relaxed)
    }
}

/// Returns a job's result, also when the thread that was to send it has ended.
pub(crate) fn result(received: Result<WriteResult, RecvError>) -> WriteResult {
    let ended = |_| Err(WriteError::LeaderUnavailable("the leader stopped before it answered".to_owned()));
    received.unwrap_or_else(ended)
}

impl From<PushError> for WriteError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full => Self::Overloaded,
            PushError::Closed => Self::NotLeader("it is shutting down".to_owned()),
        }
    }
}

/// Why the log accepts no writes. The status loads it without a lock.
#[derive(Debug, Default)]
pub(crate) struct LogHealth {
    /// The error of the last append; none if it succeeded.
    failure: ArcSwapOption<String>,
    missing_files: ArcSwapOption<String>,
}

impl LogHealth {
    /// Notes that an append failed. Logs the first of several failures.
    pub(crate) fn failed(&self, error: &AppendError) {
        let reason = error.to_string();
        if self.failure.swap(Some(Arc::new(reason.clone()))).is_none() {
            tracing::error!(
                error = reason,
                "the log rejects writes; reads continue, and every write tries the log again"
            );
        }
    }

    /// Notes that an append succeeded.
    pub(crate) fn succeeded(&self) {
        if self.failure.load().is_some() && self.failure.swap(None).is_some() {
            tracing::info!("the log accepts writes again");
        }
    }

    /// Notes which files of the log are missing. Logs when that changes.
    pub(crate) fn files_missing(&self, missing: Option<String>) {
        let is_missing = missing.is_some();
        let was_missing = self.missing_files.swap(missing.clone().map(Arc::new)).is_some();
        if let Some(missing) = missing.filter(|_| !was_missing) {
            tracing::error!(
                missing,
                "files of the log are missing: writes are rejected until they are back unchanged, or this leader is stopped and \
                 its data directory restored"
            );
        }
        if was_missing && !is_missing {
            tracing::info!("the files of the log are back, and writes are accepted again");
            // The next write shows whether the disk has another fault.
            self.failure.store(None);
        }
        if was_missing != is_missing {
            metrics::gauge!("littoral_leader_log_files_missing").set(f64::from(is_missing));
        }
    }

    /// Returns why the log rejects writes; `None` if it accepts them.
    pub(crate) fn reason(&self) -> Option<String> {
        let missing = self.missing_files.load().as_ref().map(|files| format!("files of the log are missing: {files}"));
        missing.or_else(|| self.failure.load().as_ref().map(|error| format!("the log rejects writes: {error}")))
    }
}
