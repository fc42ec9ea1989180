//! A release that is ready to be called: its native code, its idle instances, its quota.

use crate::{
    bindings::{v0_1, v0_2, v0_2::types::Manifest},
    config::{Config, Instances},
    fault,
    guest::{self, Guest, Pace},
    limits::Limits,
    meter::Meter,
    sharing::Sharing,
    thread_time,
    version::Version,
};
use littoral_model::{
    column::{Column, Status},
    ports::{ModuleCall, ModuleError},
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use wasmtime::{
    Engine, Store, UpdateDeadline,
    component::{self, Component, ComponentExportIndex, Func, InstancePre, Linker, TypedFunc},
};

/// A ready release.
pub(crate) struct Release {
    engine: Engine,
    /// The template of instances. Its exports have the world's types.
    pre: InstancePre<Guest>,
    exports: Exports,
    /// Whether it is built for version 0.1.0 of the WIT package, not 0.2.0.
    pub(crate) is_v0_1: bool,
    idle: Mutex<Vec<Instance>>,
    running: AtomicUsize,
    meter: Arc<Meter>,
    /// The requests that share calls.
    pub(crate) sharing: Sharing,
    /// The duration of calls, under the name by which the release was called first. A search by labels costs as much as
    /// a small call.
    seconds: OnceLock<(Arc<str>, metrics::Histogram)>,
    config: Config,
}

/// An idle instance with more memory than this is dropped.
const IDLE_BYTES_MAX: usize = 4 << 20;

/// The indexes of a component's exports.
#[derive(Clone, Copy)]
struct Exports {
    describe: ComponentExportIndex,
    transform: ComponentExportIndex,
}

/// An instance and its memory.
pub(crate) struct Instance {
    pub(crate) store: Store<Guest>,
    module: component::Instance,
    transform: Func,
}

/// A running call, counted in the release's quota until it is dropped.
pub(crate) struct InFlight<'a>(&'a AtomicUsize);

impl Release {
    /// Loads native code from our compiler.
    ///
    /// # Errors
    /// [`ModuleError::Rejected`] if the component imports something that the sandbox does not offer, or lacks an
    /// export.
    pub(crate) fn load(engine: &Engine, code: &[u8], config: &Config) -> Result<Self, ModuleError> {
        // SAFETY: the bytes are the output of our own compiling process, either directly from its pipe or from our
        // cache, whose directory is ours alone and whose files have checksums. wasmtime checks version and settings.
        #[allow(unsafe_code, reason = "native code cannot be checked; its origin makes it safe")]
        let component = unsafe { Component::deserialize(engine, code) };
        let component = component.map_err(|error| fault::rejected("its native code cannot be loaded", &error))?;
        let mut linker = Linker::new(engine);
        guest::link(&mut linker).map_err(|error| fault::rejected("the sandbox cannot be linked", &error))?;
        let pre = linker.instantiate_pre(&component).map_err(|error| {
            fault::rejected(
                "it imports what a module may not (a module may import littoral:feature in versions 0.1.0 and 0.2.0)",
                &error,
            )
        })?;
        let is_v0_1 = (component.component_type().imports(engine))
            .any(|(name, _)| name.starts_with("littoral:feature/") && name.ends_with("@0.1.0"));
        let world = if is_v0_1 { "0.1.0" } else { "0.2.0" };
        let foreign = |error: wasmtime::Error| {
            fault::rejected(&format!("it is not of the world littoral:feature/feature-module@{world}"), &error)
        };
        let export = |name: &str| {
            component.get_export_index(None, name).ok_or_else(|| foreign(wasmtime::format_err!("it has no '{name}'")))
        };
        let exports = Exports { describe: export("describe")?, transform: export("transform")? };
        let pre = if is_v0_1 {
            v0_1::FeatureModulePre::new(pre).map_err(foreign)?.instance_pre().clone()
        } else {
            v0_2::FeatureModulePre::new(pre).map_err(foreign)?.instance_pre().clone()
        };
        Ok(Self {
            exports,
            is_v0_1,
            engine: engine.clone(),
            pre,
            idle: Mutex::new(Vec::new()),
            running: AtomicUsize::new(0),
            meter: Arc::new(Meter::new(config.log_lines_per_second)),
            sharing: Sharing::new(config.joined_rows),
            seconds: OnceLock::new(),
            config: config.clone(),
        })
    }

    /// Checks that the release can be called with these inputs.
    ///
    /// # Errors
    /// [`ModuleError::Unavailable`] if a row is unknown, and the release's version of the WIT package has no status for
    /// that.
    pub(crate) fn check(&self, call: &ModuleCall) -> Result<(), ModuleError> {
        let unknown = |column: &Column| !column.statuses.all_present() && column.statuses.contains(&Status::Unknown);
        let at = if self.is_v0_1 { call.inputs.iter().position(unknown) } else { None };
        let Some(at) = at else { return Ok(()) };
        let input = call.manifest.inputs.get(at);
        let name = input.map_or_else(String::new, |input| format!("{}:{}", input.view, input.feature));
        let reason = format!("whether the row of its input '{name}' exists is unknown");
        Err(ModuleError::Unavailable { module: call.name.to_string(), reason })
    }

    /// Counts a call in the quota.
    pub(crate) fn enter(&self, module: &str) -> Result<InFlight<'_>, ModuleError> {
        let limit = self.config.calls_max();
        if self.running.fetch_add(1, Ordering::AcqRel) >= limit {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return Err(ModuleError::Busy { module: module.to_owned(), limit });
        }
        Ok(InFlight(&self.running))
    }

    /// Returns an idle instance, or a new one.
    pub(crate) async fn instance(&self) -> wasmtime::Result<Instance> {
        if let Some(instance) = self.idle.lock().pop() {
            return Ok(instance);
        }
        let guest = Guest {
            limits: Limits::new(self.config.memory_bytes, self.config.table_elements),
            call: None,
            pace: Pace::default(),
            last_error: None,
        };
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| &mut guest.limits);
        store.set_hostcall_fuel(usize::try_from(self.config.output_bytes).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(|mut store| {
            let Ok(slice) = store.data_mut().pace.check() else { return Ok(UpdateDeadline::Interrupt) };
            let goes_on = async move {
                // tokio's yield lets the worker poll for I/O first; a plain wake would only alternate with tasks that
                // are already ready.
                tokio::task::yield_now().await;
                slice.begin(thread_time::exact());
            };
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(goes_on)))
        });
        self.arm(&mut store);
        let module = self.pre.instantiate_async(&mut store).await?;
        let transform = module.get_func(&mut store, self.exports.transform).ok_or_else(missing)?;
        Ok(Instance { store, module, transform })
    }

    /// Starts the guest's deadline.
    pub(crate) fn arm(&self, store: &mut Store<Guest>) {
        let guest = store.data_mut();
        guest.pace.deadline.start(Duration::from_millis(self.config.deadline_ms), thread_time::at_most());
        guest.pace.interrupted = false;
        guest.last_error = None;
        guest.limits.reset();
        store.set_epoch_deadline(1);
    }

    /// Keeps an instance for reuse after a call without a fault.
    pub(crate) fn put_idle(&self, mut instance: Instance) {
        instance.store.data_mut().call = None;
        if self.config.instances == Instances::Warm && instance.store.data().limits.held_bytes() <= IDLE_BYTES_MAX {
            let mut idle = self.idle.lock();
            // Each uses a slot of the pool that another module may need; then `shed` drops it.
            if idle.len() < self.config.calls_max().min(self.config.instances_max as usize / 8).max(1) {
                idle.push(instance);
            }
        }
    }

    /// Drops all idle instances.
    pub(crate) fn shed(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// Returns the limit of what all calls may log.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// Records a call's duration.
    pub(crate) fn observe(&self, name: &Arc<str>, seconds: f64) {
        let histogram = |name: &Arc<str>| metrics::histogram!("littoral_module_call_seconds", "module" => littoral_runtime::metrics::label(name));
        let (first, known) = self.seconds.get_or_init(|| (name.clone(), histogram(name)));
        if first == name { known.record(seconds) } else { histogram(name).record(seconds) }
    }
}

fn missing() -> wasmtime::Error {
    wasmtime::format_err!("an instance lacks an export of its component")
}

// === impl Instance ===

impl Instance {
    /// Calls the guest's `transform`.
    ///
    /// # Errors
    /// Why the guest was ended, or why its answer cannot be read.
    pub(crate) async fn transform<V: Version>(
        &mut self,
        batch: &V::Batch,
    ) -> wasmtime::Result<Result<Vec<V::Column>, V::Report>> {
        // SAFETY: the function has these types. `FeatureModulePre::new` has checked the component's exports against the
        // world when the release was loaded, and this is the same component's export of that name. Another check of
        // every fresh instance would find nothing.
        #[allow(unsafe_code, reason = "the types were checked once for all instances")]
        let transform =
            unsafe { TypedFunc::<(&V::Batch,), (Result<Vec<V::Column>, V::Report>,)>::new_unchecked(self.transform) };
        let (answer,) = transform.call_async(&mut self.store, (batch,)).await?;
        Ok(answer)
    }

    /// Calls the guest's `describe`.
    ///
    /// # Errors
    /// As [`Instance::transform`].
    pub(crate) async fn describe(&mut self, release: &Release) -> wasmtime::Result<Manifest> {
        // Declarations are the same in all versions, and types of components are compared by structure.
        let describe = self.module.get_func(&mut self.store, release.exports.describe).ok_or_else(missing)?;
        let describe = describe.typed::<(), (Manifest,)>(&self.store)?;
        let (manifest,) = describe.call_async(&mut self.store, ()).await?;
        Ok(manifest)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
