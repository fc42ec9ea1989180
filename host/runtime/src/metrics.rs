//! Metrics: the recorder of a process, the table of all metrics, and the metrics of the process itself.

mod label;
mod process;
pub mod table;

pub use label::{ViewGauges, label, project_label, region_label};
pub(crate) use process::count_tasks_of;
pub use process::watch_disk;

use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Bucket bounds of durations, in seconds: 10 us to 10 s.
const SECONDS_BUCKETS: [f64; 19] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Bucket bounds of work on all rows, in seconds: 0.1 s to an hour.
const LONG_BUCKETS: [f64; 12] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];

/// Bucket bounds of counts of records.
const RECORDS_BUCKETS: [f64; 14] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 100_000.0];

/// The bucket bounds of Feast's latency histogram, in seconds.
const FEAST_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often histograms are drained and the disk is measured. Undrained histograms would grow.
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

/// Installs the recorder of a process with this role, describes all metrics of [`table`], sets the role's counters
/// without labels to zero so that their first increment is visible, and records the build in `littoral_build_info`.
///
/// # Errors
/// [`Error`].
pub fn install(build: &'static str, role: table::Role) -> Result<Handle, Error> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), &RECORDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_scrub_seconds".to_owned()), &LONG_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_snapshot_seconds".to_owned()), &LONG_BUCKETS)?
        .set_buckets_for_metric(
            Matcher::Full("feast_feature_server_request_latency_seconds".to_owned()),
            &FEAST_BUCKETS,
        )?
        .build_recorder();
    let handle = Handle(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| Error::Installed)?;
    table::describe(role);
    process::start();
    gauge!("littoral_build_info", "version" => build).set(1.0);
    Ok(handle)
}

// === impl Handle ===

impl Handle {
    /// Renders the metrics in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        process::record();
        self.0.render()
    }

    /// Drains the histograms, and measures the disk, until cancelled.
    pub async fn upkeep(self, cancel: CancellationToken) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        while cancel.run_until_cancelled(interval.tick()).await.is_some() {
            self.0.run_upkeep();
            process::record_disk();
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
