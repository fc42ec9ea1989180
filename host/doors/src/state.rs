//! What requests share.

use crate::{Config, failure::Failure, latency::Latency, place::Places, plan};
use http::StatusCode;
use littoral_api::code;
use littoral_http::{BodyBudget, Process};
use littoral_model::ports::{ModuleRuntime, Node};
use std::{ops::Deref, sync::Arc};
use tokio::runtime::Handle;

/// What the requests of a door share, also before its node can answer.
pub(crate) struct Resources {
    pub(crate) config: Arc<Config>,
    pub(crate) process: Process,
    /// Memory for large bodies.
    pub(crate) bodies: BodyBudget,
    /// Memory for large answers.
    pub(crate) answers: BodyBudget,
}

/// What the requests of an open door share.
pub(crate) struct State {
    resources: Arc<Resources>,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) modules: Arc<dyn ModuleRuntime>,
    pub(crate) plans: plan::Cache,
    /// Places of requests.
    pub(crate) places: Places,
    pub(crate) latency: Latency,
    /// The runtime that answers large requests.
    pub(crate) workers: Handle,
}

impl Resources {
    pub(crate) fn new(config: Config, process: Process) -> Self {
        let (bodies, answers) = (config.bodies_budget(), config.answers_budget());
        Self { config: Arc::new(config), process, bodies, answers }
    }
}

impl Deref for State {
    type Target = Resources;

    fn deref(&self) -> &Resources {
        &self.resources
    }
}

impl State {
    pub(crate) fn new(resources: Arc<Resources>, node: Arc<dyn Node>, modules: Arc<dyn ModuleRuntime>) -> Self {
        let places = Places::new(&resources.config);
        let (plans, latency, workers) = (plan::Cache::default(), Latency::new(), Handle::current());
        Self { resources, node, modules, plans, places, latency, workers }
    }

    /// Rejects a read of too many rows or values.
    pub(crate) fn check_read_size(&self, rows: usize, columns: usize) -> Result<(), Failure> {
        let (rows_max, values_max) = (self.config.read_rows_max, self.config.read_values_max);
        let reject = |message| Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, code::READ_TOO_LARGE, message));
        if rows > rows_max {
            return reject(format!("the read requests {rows} rows; the most is {rows_max}"));
        }
        if rows.saturating_mul(columns) > values_max {
            return reject(format!(
                "the read requests {rows} rows of {columns} columns; the most is {values_max} values"
            ));
        }
        Ok(())
    }
}
