//! Metrics: the one recorder of a process, and the metrics of the process itself.

use crate::memory;
use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Bucket bounds of latency histograms, in seconds: 10 us to 10 s.
const SECONDS_BUCKETS: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0,
];

/// How often histograms are drained and the process's own metrics are recorded. Undrained histograms would grow.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the recorder could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recorder's settings are invalid.
    #[error("the metrics recorder cannot be built: {0}")]
    Build(#[from] BuildError),
    /// The process already has a recorder.
    #[error("this process already has a metrics recorder")]
    Installed,
}

/// Renders the metrics that the process has recorded.
#[derive(Clone)]
pub struct Handle(PrometheusHandle);

/// The body of a door's `/metrics`: the process's metrics in Prometheus's text format.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn() -> String + Send + Sync>);

/// Installs the process's recorder, and records the build in `littoral_build_info`.
///
/// # Errors
/// [`Error`].
pub fn install(build: &'static str) -> Result<Handle, Error> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .build_recorder();
    let handle = Handle(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| Error::Installed)?;
    describe_gauge!("littoral_process_resident_bytes", Unit::Bytes, "Resident memory of the process");
    describe_gauge!("littoral_process_tasks", Unit::Count, "Tasks of the process's threads that have not ended");
    describe_gauge!("littoral_build_info", "Always 1; its label `version` is the build of the process");
    gauge!("littoral_build_info", "version" => build).set(1.0);
    Ok(handle)
}

// === impl Handle ===

impl Handle {
    /// Renders the metrics in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        record_process();
        self.0.render()
    }

    /// Drains the histograms until cancelled.
    pub async fn upkeep(self, cancel: CancellationToken) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        while cancel.run_until_cancelled(interval.tick()).await.is_some() {
            self.0.run_upkeep();
            record_process();
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// Wraps a function that renders metrics.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    /// Renders the metrics.
    #[must_use]
    pub fn render(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Two values are equal if they share the renderer.
impl PartialEq for Metrics {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The runtimes whose tasks count as the process's.
static RUNTIMES: Mutex<Vec<tokio::runtime::Handle>> = Mutex::new(Vec::new());

/// Counts a runtime's tasks as the process's.
pub(crate) fn count_tasks_of(runtime: &tokio::runtime::Handle) {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).push(runtime.clone());
}

fn record_process() {
    if let Some(bytes) = memory::resident_bytes() {
        gauge!("littoral_process_resident_bytes").set(bytes as f64);
    }
    let runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    let tasks: usize = runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum();
    gauge!("littoral_process_tasks").set(tasks as f64);
}
