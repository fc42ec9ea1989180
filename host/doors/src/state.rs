//! What requests share.

use crate::{Config, access::Guard, latency::Latency, read::Rendered, slot::Slots};
use littoral_http::{BodyBudget, Process};
use littoral_model::ports::{ModuleRuntime, Node};
use littoral_read::{Limits, Reader};
use std::{ops::Deref, sync::Arc};
use tokio::runtime::Handle;

/// What the requests of a door share, also before its node can answer.
pub(crate) struct Resources {
    pub(crate) config: Arc<Config>,
    pub(crate) process: Process,
    pub(crate) guard: Guard,
    /// Memory for large bodies.
    pub(crate) bodies: BodyBudget,
    /// Memory for large answers.
    pub(crate) answers: BodyBudget,
}

/// What the requests of an open door share.
pub(crate) struct State {
    resources: Arc<Resources>,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) reader: Reader<Rendered>,
    /// Slots of requests.
    pub(crate) slots: Slots,
    pub(crate) latency: Latency,
    /// The runtime that answers large requests.
    pub(crate) workers: Handle,
}

impl Resources {
    pub(crate) fn new(config: Config, process: Process, guard: Guard) -> Self {
        let (bodies, answers) = (config.bodies_budget(), config.answers_budget());
        Self { config: Arc::new(config), process, guard, bodies, answers }
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
        let config = &resources.config;
        let limits = Limits { rows_max: config.read_rows_max, values_max: config.read_values_max };
        let reader = Reader::new(node.clone(), modules, limits, littoral_runtime::clock::wall);
        let slots = Slots::new(config);
        let (latency, workers) = (Latency::new(config.feast_metrics), Handle::current());
        Self { resources, node, reader, slots, latency, workers }
    }
}
