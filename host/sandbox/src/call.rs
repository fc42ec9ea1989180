//! One call of a module.

use crate::{
    config::Config,
    fault,
    guest::Call,
    release::{Instance, Release},
    returned,
    version::{V0_1, V0_2, Version},
};
use littoral_model::{
    column::Column,
    module::ModuleManifest,
    ports::{ModuleCall, ModuleError},
};
use std::{
    future::poll_fn,
    mem,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::time::{self, error::Elapsed};
use wasmtime::PoolConcurrencyLimitError;

/// The result of a call.
pub(crate) struct Made {
    /// The outputs.
    pub(crate) columns: Vec<Column>,
    /// Whether the call reached one of its bounds, or a lookup was rejected because of one row. The guest may have
    /// reacted to that, so the outputs of other rows may depend on it.
    pub(crate) bounded: bool,
}

/// Calls `transform`. It moves the columns out of `call`, and moves them back if the call fails or was bounded. `shed`
/// drops idle instances of other releases when the pool is full.
///
/// # Errors
/// [`ModuleError`], one for each way in which a guest can fail. The release can be called again.
pub(crate) async fn transform(
    release: &Release,
    call: &mut ModuleCall,
    config: &Config,
    shed: impl Fn(),
) -> Result<Made, ModuleError> {
    let rows = call.rows;
    let rows =
        u32::try_from(rows).map_err(|_| fault::reported("a batch of more than 4,294,967,295 rows", &call.name))?;
    if release.is_v0_1 {
        of_version::<V0_1>(release, call, rows, config, shed).await
    } else {
        of_version::<V0_2>(release, call, rows, config, shed).await
    }
}

async fn of_version<V: Version>(
    release: &Release,
    call: &mut ModuleCall,
    rows: u32,
    config: &Config,
    shed: impl Fn(),
) -> Result<Made, ModuleError> {
    let batch = V::batch(rows, mem::take(&mut call.inputs), mem::take(&mut call.params));
    let made = of_batch::<V>(release, call, &batch, config, shed).await;
    if made.as_ref().map_or(true, |made| made.bounded) {
        (call.inputs, call.params) = V::parts(batch);
    }
    made
}

async fn of_batch<V: Version>(
    release: &Release,
    call: &ModuleCall,
    batch: &V::Batch,
    config: &Config,
    shed: impl Fn(),
) -> Result<Made, ModuleError> {
    let module = &call.name;
    let begun = Instant::now();
    let _in_flight = release.enter(module)?;
    // The time limit includes the start: an instance may have a start function.
    let wall = Duration::from_millis(config.wall_ms);
    let timeout = || ModuleError::Timeout { module: module.to_string(), deadline_ms: config.wall_ms };
    let mut instance = match within(wall, begun, instance(release, shed)).await {
        Ok(instance) => instance.map_err(|error| fault::starting(&error, module, config))?,
        Err(_) => return Err(timeout()),
    };
    release.arm(&mut instance.store);
    instance.store.data_mut().call = Some(Call {
        module: module.clone(),
        manifest: call.manifest.clone(),
        reader: call.reader.clone(),
        demand: call.demand.clone(),
        now: call.now,
        keys_left: config.lookup_keys,
        answer_bytes: usize::try_from(config.output_bytes.min(config.memory_bytes)).unwrap_or(usize::MAX),
        lines_left: config.log_lines,
        lookup_rejected: false,
        meter: release.meter(),
        lookup_failed: None,
    });
    let answer = {
        let running = instance.transform::<V>(batch);
        within(wall, begun, running).await
    };
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(fault::of(&error, instance.store.data(), module, config)),
        Err(_) => return Err(timeout()),
    };
    let guest = instance.store.data_mut();
    let (refused, lookup_failed) =
        guest.call.take().map_or((false, None), |call| (call.lookup_rejected, call.lookup_failed));
    let bounded = refused || guest.limits.was_rejected();
    release.put_idle(instance);
    release.observe(module, begun.elapsed().as_secs_f64());
    match (answer, lookup_failed) {
        (Ok(columns), _) => {
            let columns = returned::columns_of::<V>(columns, &call.manifest, call.rows, module)?;
            Ok(Made { columns, bounded })
        }
        (Err(_), Some(source)) => Err(ModuleError::Lookup { module: module.to_string(), source }),
        (Err(error), None) => Err(V::report(error, module)),
    }
}

/// Calls `describe`, within the bounds of any call.
///
/// # Errors
/// [`ModuleError::Rejected`] for every failure of the guest.
pub(crate) async fn describe(
    release: &Release,
    config: &Config,
    shed: impl Fn(),
) -> Result<ModuleManifest, ModuleError> {
    let module: Arc<str> = "uploaded module".into();
    let rejected = |error: ModuleError| match error {
        busy @ ModuleError::Busy { .. } => busy,
        error => ModuleError::Rejected(format!("its describe() failed: {error}")),
    };
    let wall = Duration::from_millis(config.wall_ms);
    let begun = Instant::now();
    let timeout = || rejected(ModuleError::Timeout { module: module.to_string(), deadline_ms: config.wall_ms });
    let Ok(started) = within(wall, begun, instance(release, shed)).await else { return Err(timeout()) };
    let mut instance = match started {
        Ok(instance) => instance,
        Err(error) if error.is::<PoolConcurrencyLimitError>() => {
            return Err(fault::starting(&error, &module, config));
        }
        Err(error) => return Err(fault::rejected("it cannot be instantiated", &error)),
    };
    release.arm(&mut instance.store);
    let described = within(wall, begun, instance.describe(release)).await;
    let described = match described {
        Ok(Ok(described)) => described,
        Ok(Err(error)) => return Err(rejected(fault::of(&error, instance.store.data(), &module, config))),
        Err(_) => return Err(timeout()),
    };
    returned::manifest(described)
}

/// Runs `work` until `wall` after `begun`. Nearly every call completes at its first poll, and needs no timer.
async fn within<T>(wall: Duration, begun: Instant, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = std::pin::pin!(work);
    let first_step = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx)));
    if let Poll::Ready(done) = first_step.await {
        return Ok(done);
    }
    time::timeout(wall.saturating_sub(begun.elapsed()), work).await
}

/// Returns an instance of a release. If the pool is full, drops the idle instances of all releases and tries again.
async fn instance(release: &Release, shed: impl Fn()) -> wasmtime::Result<Instance> {
    match release.instance().await {
        Err(error) if error.is::<PoolConcurrencyLimitError>() => {
            shed();
            release.instance().await
        }
        instance => instance,
    }
}
