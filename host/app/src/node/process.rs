//! The life of a node's process: logs, threads, signals, start, run, drain.

use crate::{
    cli::BUILD,
    config::sections::Shutdown,
    failure::Failure,
    node::{
        exposure::Protection,
        reload::{Reloadable, Source},
        tls,
    },
};
use littoral_runtime::{
    Signals, Supervisor, TaskKind,
    descriptors::{self, Needs},
    logging,
    metrics::{self, table::Role},
    reactors::Reactors,
    trace::{self, Spans},
    workers,
};
use littoral_tls::Tls;
use littoral_traces::{Exporter, Node};
use std::process::ExitCode;
use tokio::sync::watch;

/// Settings of every node's process.
#[derive(Clone, Debug)]
pub struct Common {
    /// What it is.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// Its region, if the configuration states one.
    pub region: Option<String>,
    /// Logs.
    pub logging: logging::Config,
    /// Traces.
    pub traces: littoral_traces::Config,
    /// Threads.
    pub workers: workers::Config,
    /// How it stops.
    pub shutdown: Shutdown,
    /// The file descriptors that it needs at most.
    pub descriptors: Needs,
    /// The certificate, and the roots that it trusts.
    pub tls: littoral_tls::Config,
}

/// Options of every node's command that no file can set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Exit when standard input ends.
    pub with_parent: bool,
    /// Listen beyond loopback without protection.
    pub insecure: bool,
}

/// What a node needs to start its tasks.
pub struct Tasks {
    /// Runs and stops them.
    pub supervisor: Supervisor,
    /// The settings that apply since the last SIGHUP; `None` before the first.
    pub reloaded: watch::Receiver<Option<Reloadable>>,
    /// Renders the process's metrics.
    pub metrics: metrics::Handle,
    /// The threads that serve connections.
    pub reactors: Reactors,
    /// The TLS of all listeners and connections; `None` if they are plain.
    pub tls: Option<Tls>,
    /// Whether the command line has `--insecure`.
    pub insecure: bool,
    /// Whether a listener beyond loopback is unprotected, which only `--insecure` allows. False until `exposure` has
    /// checked the addresses.
    pub is_exposed: bool,
}

impl Tasks {
    /// Applies changed settings with `apply` after each SIGHUP.
    pub fn on_reload(&mut self, what: &'static str, apply: impl Fn(&Reloadable) + Send + 'static) {
        let (mut reloaded, stop) = (self.reloaded.clone(), self.supervisor.token(TaskKind::Housekeeping));
        self.supervisor.spawn(TaskKind::Housekeeping, what, async move {
            while let Some(Ok(())) = stop.run_until_cancelled(reloaded.changed()).await {
                if let Some(settings) = reloaded.borrow_and_update().as_ref() {
                    apply(settings);
                }
            }
            Ok::<_, std::convert::Infallible>(())
        });
    }

    /// Returns what protects the node's listeners. `auth` is whether it authenticates clients.
    pub fn protection(&self, auth: bool) -> Protection {
        Protection { tls: self.tls.is_some(), auth, insecure: self.insecure }
    }
}

/// Runs a node: `start` creates its components, opens its doors and prints the ready line. The node then serves until a
/// signal stops it.
///
/// # Errors
/// When it does not start, or a task that it needs ends.
pub fn run<F>(
    common: &Common,
    source: Source,
    options: Options,
    start: impl FnOnce(Tasks) -> F,
) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<Supervisor, Failure>>,
{
    logging::install(&common.logging);
    descriptors::prepare(&common.descriptors).map_err(Failure::usage)?;
    let handle = metrics::install(BUILD, common.role).map_err(Failure::rejected)?;
    let tls = tls::load(&common.tls)?;
    let traces = traces(common)?;
    let main = |reactors| async {
        let mut signals = Signals::listen()
            .and_then(|signals| if options.with_parent { signals.with_parent() } else { Ok(signals) })
            .map_err(|error| Failure::rejected(format!("cannot listen for signals: {error}")))?;
        let mut supervisor = Supervisor::new(common.shutdown.notice(), common.shutdown.grace());
        let upkeep = handle.clone().upkeep(supervisor.token(TaskKind::Housekeeping));
        supervisor.spawn(TaskKind::Housekeeping, "metrics upkeep", async {
            upkeep.await;
            Ok::<_, std::convert::Infallible>(())
        });
        if let Some((exporter, spans)) = traces {
            let stop = supervisor.token(TaskKind::Housekeeping);
            supervisor.spawn(TaskKind::Housekeeping, "export of traces", async {
                exporter.run(spans, stop).await;
                Ok::<_, std::convert::Infallible>(())
            });
        }
        let (changed, reloaded) = watch::channel(None);
        let stop = supervisor.token(TaskKind::Housekeeping);
        supervisor.spawn(TaskKind::Housekeeping, "configuration reload", source.watch(changed, stop));
        if let Some(tls) = tls.clone() {
            let stop = supervisor.token(TaskKind::Housekeeping);
            supervisor.spawn(TaskKind::Housekeeping, "certificate reload", async {
                tls.watch(stop).await;
                Ok::<_, std::convert::Infallible>(())
            });
        }
        let insecure = options.insecure;
        let tasks = Tasks { supervisor, reloaded, metrics: handle.clone(), reactors, tls, insecure, is_exposed: false };
        // Reading a long log takes a while. A signal to stop must not wait for it.
        let supervisor = tokio::select! {
            started = start(tasks) => started?,
            reason = signals.next() => {
                tracing::info!(%reason, "stopping before the start was over");
                return Ok(ExitCode::SUCCESS);
            }
        };
        supervisor.run(&mut signals).await.map_err(Failure::rejected)?;
        tracing::info!(node = common.name, "stopped");
        Ok(ExitCode::SUCCESS)
    };
    workers::run(&common.workers, main)
        .map_err(|error| Failure::rejected(format!("cannot start worker threads: {error}")))?
}

/// Begins to record traces, if the configuration names a collector. Returns its exporter and the spans to export.
fn traces(common: &Common) -> Result<Option<(Exporter, Spans)>, Failure> {
    let role = match common.role {
        Role::Leader => "leader",
        Role::Edge => "edge",
        Role::Router => "router",
    };
    let node = Node { role, name: common.name.clone(), region: common.region.clone(), build: BUILD };
    let exporter = Exporter::new(&common.traces, &node);
    let exporter = exporter.map_err(|error| Failure::usage(format!("[traces]: {error}")))?;
    Ok(exporter.and_then(|exporter| Some((exporter, trace::install(common.traces.sample)?))))
}
