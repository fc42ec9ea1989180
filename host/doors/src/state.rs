//! What every request may use.

use crate::{Config, failure::Failure, latency::Latency, place::Places, plan, room::Room};
use http::StatusCode;
use littoral_model::ports::{ModuleRuntime, Node};
use std::sync::Arc;
use tokio::runtime::Handle;

/// What every request may use.
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) modules: Arc<dyn ModuleRuntime>,
    pub(crate) plans: plan::Cache,
    /// Places of requests.
    pub(crate) places: Places,
    /// Memory for large bodies.
    pub(crate) bodies: Room,
    /// Memory for large answers.
    pub(crate) answers: Room,
    pub(crate) latency: Latency,
    /// Where large requests are answered.
    pub(crate) workers: Handle,
}

impl State {
    pub(crate) fn new(
        config: Arc<Config>,
        answers: Room,
        node: Arc<dyn Node>,
        modules: Arc<dyn ModuleRuntime>,
    ) -> Self {
        let places = Places::new(&config);
        let bodies = config.bodies_room();
        let (plans, latency, workers) = (plan::Cache::default(), Latency::new(), Handle::current());
        Self { config, node, modules, plans, places, bodies, answers, latency, workers }
    }

    /// Refuses a read that asks for too much at once.
    pub(crate) fn check_read_size(&self, rows: usize, columns: usize) -> Result<(), Failure> {
        let (rows_max, values_max) = (self.config.read_rows_max, self.config.read_values_max);
        let refuse = |message| Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "read_too_large", message));
        if rows > rows_max {
            return refuse(format!("{rows} rows are asked for at once; at most {rows_max} are"));
        }
        if rows.saturating_mul(columns) > values_max {
            return refuse(format!("{rows} rows of {columns} columns are asked for; at most {values_max} values are"));
        }
        Ok(())
    }
}
