//! What requests share.

use crate::{Config, access::Guard, latency::Latency, project, read::Rendered, slot::Slots};
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
    pub(crate) config: Arc<Config>,
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
    /// The runtime that answers large requests.
    pub(crate) workers: Handle,
}

impl Resources {
    pub(crate) fn new(config: Config, process: Process, guard: Guard) -> Self {
        let (bodies, answers) = (config.bodies_budget(), config.answers_budget());
        Self { config: Arc::new(config), process, guard, behind: Behind::default(), bodies, answers }
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
        let slots = Slots::new(&resources.config);
        let (latency, workers) = (Latency::new(resources.config.feast_metrics), Handle::current());
        Self { resources, node, modules, slots, latency, workers }
    }

    /// Returns the bounds of one read.
    pub(crate) fn read_limits(&self) -> Limits {
        Limits { rows_max: self.config.read_rows_max, values_max: self.config.read_values_max }
    }
}
