//! The life of a node's process: logs, threads, signals, start, run, drain.

use crate::{cli::BUILD, config::sections::Shutdown, failure::Failure};
use littoral_runtime::{
    Signals, Supervisor, TaskKind,
    descriptors::{self, Needs},
    logging, metrics,
    reactors::Reactors,
    workers,
};
use std::process::ExitCode;

/// Settings of every node's process.
#[derive(Clone, Debug)]
pub struct Common {
    /// Its name.
    pub name: String,
    /// Logs.
    pub logging: logging::Config,
    /// Threads.
    pub workers: workers::Config,
    /// How it stops.
    pub shutdown: Shutdown,
    /// The file descriptors that it may come to hold.
    pub descriptors: Needs,
}

/// What a node starts its tasks with.
pub struct Tasks {
    /// Runs and stops them.
    pub supervisor: Supervisor,
    /// Renders the process's metrics.
    pub metrics: metrics::Handle,
    /// Serve connections.
    pub reactors: Reactors,
}

/// Runs a node: `start` creates its components, opens its doors and prints the ready line. The node then serves until a signal
/// stops it.
///
/// # Errors
/// When it does not start, or a part that it cannot do without fails.
pub fn run<F>(common: &Common, with_parent: bool, start: impl FnOnce(Tasks) -> F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<Supervisor, Failure>>,
{
    logging::install(&common.logging);
    descriptors::prepare(&common.descriptors).map_err(Failure::usage)?;
    let handle = metrics::install(BUILD).map_err(Failure::refused)?;
    let main = |reactors| async {
        let mut signals = Signals::listen()
            .and_then(|signals| if with_parent { signals.with_parent() } else { Ok(signals) })
            .map_err(|error| Failure::refused(format!("cannot listen for signals: {error}")))?;
        let mut supervisor = Supervisor::new(common.shutdown.notice(), common.shutdown.grace());
        let upkeep = handle.clone().upkeep(supervisor.token(TaskKind::Housekeeping));
        supervisor.spawn(TaskKind::Housekeeping, "metrics upkeep", async {
            upkeep.await;
            Ok::<_, std::convert::Infallible>(())
        });
        // A signal while starting, as when a log is long, must not wait until the start is over.
        let supervisor = tokio::select! {
            started = start(Tasks { supervisor, metrics: handle.clone(), reactors }) => started?,
            reason = signals.next() => {
                tracing::info!(%reason, "stopping before the start was over");
                return Ok(ExitCode::SUCCESS);
            }
        };
        supervisor.run(&mut signals).await.map_err(Failure::refused)?;
        tracing::info!(node = common.name, "stopped");
        Ok(ExitCode::SUCCESS)
    };
    workers::run(&common.workers, main)
        .map_err(|error| Failure::refused(format!("cannot start worker threads: {error}")))?
}
