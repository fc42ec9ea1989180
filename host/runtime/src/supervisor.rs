//! Supervision: runs a process's tasks, notices when one ends unexpectedly, and stops them in order.

use crate::{
    draining::Draining,
    shutdown::{Signals, StopReason},
    task_kind::{OnFailure, TaskKind},
};
use std::{collections::HashMap, fmt::Display, time::Duration};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// The time for the state to stop after the doors have drained. It is separate from the doors' time, so that slow
/// clients cannot use it up.
const CORE_GRACE: Duration = Duration::from_secs(10);

/// Why the process ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A task that the process needs has ended.
    #[error("{task} ended: {reason}")]
    TaskEnded {
        /// The task.
        task: &'static str,
        /// The reason.
        reason: String,
    },
}

struct Task {
    kind: TaskKind,
    name: &'static str,
}

/// The tasks of one process.
pub struct Supervisor {
    notice: Duration,
    grace: Duration,
    draining: Draining,
    doors: CancellationToken,
    core: CancellationToken,
    running: JoinSet<Result<(), String>>,
    tasks: HashMap<Id, Task>,
}

impl Supervisor {
    /// Creates a supervisor without tasks. On SIGTERM, the process announces for `notice` that it is draining, and
    /// continues to serve. Doors may then take up to `grace` to finish their requests.
    #[must_use]
    pub fn new(notice: Duration, grace: Duration) -> Self {
        Self {
            notice,
            grace,
            draining: Draining::default(),
            doors: CancellationToken::new(),
            core: CancellationToken::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
        }
    }

    /// Returns whether the process is draining.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.draining.clone()
    }

    /// Returns the token that cancels tasks of a kind.
    #[must_use]
    pub fn token(&self, kind: TaskKind) -> CancellationToken {
        if kind.drains_first() { self.doors.clone() } else { self.core.clone() }
    }

    /// Runs a task. The task must watch [`Supervisor::token`] of its kind, and end in an orderly way when cancelled.
    pub fn spawn<E: Display>(
        &mut self,
        kind: TaskKind,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.running.spawn(async move { task.await.map_err(|error| error.to_string()) });
        self.tasks.insert(handle.id(), Task { kind, name });
    }

    /// Runs until the process is asked to stop or a required task ends, then stops everything. If SIGTERM is the
    /// reason, and a client is connected to a door or was a moment ago, the process first announces that it is
    /// draining. Then the doors close, and then the state stops. A second request to stop cuts the current step short.
    ///
    /// # Errors
    /// [`Error::TaskEnded`], after everything else has stopped.
    pub async fn run(mut self, signals: &mut Signals) -> Result<(), Error> {
        let failure = loop {
            tokio::select! {
                reason = signals.next() => {
                    tracing::info!(%reason, "stopping");
                    self.draining.begin();
                    // A terminal waits for its process, and a process that has lost its parent has no clients.
                    if reason == StopReason::Terminate && self.draining.is_used() && !self.notice.is_zero() {
                        self.give_notice(signals).await;
                    }
                    break None;
                }
                Some(ended) = self.running.join_next_with_id() => {
                    if let Some(failure) = self.ended(ended, false) {
                        break Some(failure);
                    }
                }
            }
        };
        self.draining.begin();
        self.doors.cancel();
        let hurry = CancellationToken::new();
        let second = async {
            let reason = signals.next().await;
            tracing::warn!(%reason, "received another request to stop; not draining any longer");
            hurry.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = second => {}
            () = self.stop(&hurry) => {}
        }
        failure.map_or(Ok(()), Err)
    }

    /// Announces to clients and routers for the time of the notice that the doors are about to close.
    async fn give_notice(&self, signals: &mut Signals) {
        tracing::info!(notice = ?self.notice, "draining: no longer ready, and the doors stay open so that clients can move away");
        tokio::select! {
            () = tokio::time::sleep(self.notice) => {}
            reason = signals.next() => tracing::warn!(%reason, "received another request to stop; closing the doors now"),
        }
    }

    async fn stop(&mut self, hurry: &CancellationToken) {
        let deadline = Instant::now() + self.grace;
        let drained = hurry.run_until_cancelled(timeout_at(deadline, self.join_while(TaskKind::drains_first))).await;
        if !matches!(drained, Some(Ok(()))) {
            tracing::warn!("cutting requests that still run at the end of the grace period");
        }
        self.core.cancel();
        let stopped = timeout_at(Instant::now() + CORE_GRACE, self.join_while(|kind| !kind.drains_first())).await;
        if stopped.is_err() {
            let names: Vec<_> = self.tasks.values().map(|task| task.name).collect();
            tracing::error!(?names, "tasks did not stop in time");
        }
        self.running.shutdown().await;
    }

    /// Joins tasks until no task of the chosen kinds remains.
    async fn join_while(&mut self, chosen: impl Fn(TaskKind) -> bool) {
        while self.tasks.values().any(|task| chosen(task.kind)) {
            match self.running.join_next_with_id().await {
                Some(ended) => drop(self.ended(ended, true)),
                None => return,
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), String>), JoinError>, stopping: bool) -> Option<Error> {
        let (id, reason) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(reason))) => (id, Some(reason)),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let Task { kind, name } = self.tasks.remove(&id)?;
        match (&reason, stopping) {
            (None, true) => tracing::debug!(task = name, "stopped"),
            (Some(reason), true) => tracing::warn!(task = name, reason, "stopped with an error"),
            (_, false) => tracing::error!(task = name, reason, "a task ended unexpectedly"),
        }
        let reason = reason.unwrap_or_else(|| "it returned before the process was asked to stop".to_owned());
        (!stopping && kind.on_failure() == OnFailure::StopProcess).then_some(Error::TaskEnded { task: name, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    #[tokio::test]
    async fn a_door_that_fails_stops_the_process_and_the_core_stops_in_order() {
        let mut supervisor = Supervisor::new(Duration::ZERO, Duration::from_secs(5));
        let core_stopped = Arc::new(AtomicBool::new(false));
        let (token, seen) = (supervisor.token(TaskKind::Core), core_stopped.clone());
        supervisor.spawn(TaskKind::Core, "core", async move {
            token.cancelled().await;
            seen.store(true, Ordering::SeqCst);
            Ok::<_, String>(())
        });
        supervisor.spawn(TaskKind::Door, "door", async { Err("port taken") });
        let error = supervisor.run(&mut Signals::listen().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "door ended: port taken");
        assert!(core_stopped.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_and_the_process_runs_without_housekeeping() {
        let mut supervisor = Supervisor::new(Duration::ZERO, Duration::from_secs(5));
        supervisor.spawn(TaskKind::Housekeeping, "gauges", async { Err("not needed") });
        supervisor.spawn(TaskKind::Core, "core", async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            panic!("broken");
            #[allow(unreachable_code)]
            Ok::<_, String>(())
        });
        let error = supervisor.run(&mut Signals::listen().unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with("core ended"), "{error}");
    }

    #[tokio::test]
    async fn a_door_that_does_not_drain_is_cut_after_the_grace() {
        let mut supervisor = Supervisor::new(Duration::ZERO, Duration::from_millis(50));
        supervisor.spawn(TaskKind::Door, "stuck", std::future::pending::<Result<(), String>>());
        supervisor.spawn(TaskKind::Core, "core", async { Err("disk failed") });
        let begun = Instant::now();
        let mut signals = Signals::listen().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(60), supervisor.run(&mut signals)).await;
        assert!(ended.expect("the process does not wait for a door that never drains").is_err());
        assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
    }
}
