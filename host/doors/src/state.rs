//! What requests share.

use crate::{Config, access::Guard, latency::Latency, project, read::Rendered, slot::Slots};
use arc_swap::ArcSwap;
use littoral_http::{Behind, BodyBudget, Process};
use littoral_model::{
    ports::{ModuleRuntime, Node},
    project::ProjectName,
};
use littoral_read::{Limits, ProjectReader, Reader};
use std::{ops::Deref, sync::Arc};
use tokio::runtime::Handle;

/// What the requests of a door share, also before its node can answer.
pub(crate) struct Resources {
    config: ArcSwap<Config>,
    pub(crate) process: Process,
    pub(crate) guard: Guard,
    /// The loads of clients behind trusted proxies.
    pub(crate) behind: Behind,
    /// Memory for large bodies.
    pub(crate) bodies: BodyBudget,
    /// Memory for large answers.
    pub(crate) answers: BodyBudget,
}

/// What the requests of one project share at an open door.
pub(crate) struct State {
    pub(crate) door: Arc<DoorState>,
    pub(crate) project: ProjectName,
    /// The project's definitions.
    pub(crate) names: Arc<ProjectReader>,
    pub(crate) reader: Reader<Rendered>,
    pub(crate) rules: ArcSwap<project::Rules>,
    pub(crate) usage: project::Usage,
}

/// What the requests of an open door share.
pub(crate) struct DoorState {
    resources: Arc<Resources>,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) modules: Arc<dyn ModuleRuntime>,
    /// Slots of requests.
    pub(crate) slots: Slots,
    pub(crate) latency: Latency,
    /// The bounds of one read.
    pub(crate) read_limits: Arc<ArcSwap<Limits>>,
    /// The runtime that answers large requests.
    pub(crate) workers: Handle,
}

impl Resources {
    pub(crate) fn new(config: Config, process: Process, guard: Guard) -> Self {
        let (bodies, answers) = (config.bodies_budget(), config.answers_budget());
        Self { config: ArcSwap::from_pointee(config), process, guard, behind: Behind::default(), bodies, answers }
    }
}

impl Resources {
    /// Returns the bounds of requests that begin now. The guard must not be held for long; clone the `Arc` for that.
    pub(crate) fn config(&self) -> arc_swap::Guard<Arc<Config>> {
        self.config.load()
    }

    /// Applies a changed configuration, except the keys of [`Config::FIXED`]. Returns the configuration that applies
    /// now.
    pub(crate) fn reload(&self, config: Config) -> Arc<Config> {
        let config = Arc::new(config.with_fixed(&self.config()));
        self.bodies.resize(config.bodies_bytes_max, config.largest_body());
        self.answers.resize(config.answers_bytes_max, config.answer_bytes_max);
        self.config.store(config.clone());
        config
    }
}

impl Deref for State {
    type Target = DoorState;

    fn deref(&self) -> &DoorState {
        &self.door
    }
}

impl Deref for DoorState {
    type Target = Resources;

    fn deref(&self) -> &Resources {
        &self.resources
    }
}

impl DoorState {
    pub(crate) fn new(resources: Arc<Resources>, node: Arc<dyn Node>, modules: Arc<dyn ModuleRuntime>) -> Self {
        let config = resources.config();
        let (slots, latency) = (Slots::new(&config), Latency::new(config.feast_metrics));
        let read_limits = Arc::new(ArcSwap::from_pointee(limits(&config)));
        Self { resources, node, modules, slots, latency, read_limits, workers: Handle::current() }
    }

    /// Applies the bounds of a changed configuration.
    pub(crate) fn reload(&self, config: &Config) {
        self.slots.resize(config);
        self.read_limits.store(Arc::new(limits(config)));
    }
}

fn limits(config: &Config) -> Limits {
    Limits { rows_max: config.read_rows_max, values_max: config.read_values_max }
}
