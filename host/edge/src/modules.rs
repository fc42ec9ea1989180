//! Modules at an edge: downloaded from the leader, stored on disk, prepared in the sandbox, and
//! served once they can be called.

use crate::{
    data_dir::{MODULES, UNFINISHED},
    row_file::file_id,
    shared::Shared,
};
use bytes::Bytes;
use littoral_at_rest::FileKind;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    module::{ModuleDigest, ModuleRelease},
    ports::{ModuleError, ModulePut, Rollout},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The minimum and maximum pause before a failed module is retried.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The interval at which a waiting upload checks its release.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the leader cannot be reached: {0}")]
    Leader(String),
    #[error("the leader does not have the component")]
    Missing,
    #[error(transparent)]
    Module(#[from] ModuleError),
}

impl Shared {
    /// Publishes this catalogue to readers. A module whose new release cannot be called yet keeps
    /// its previous release, so calls continue. A new module is listed at once and reports that it
    /// is not ready.
    pub(crate) fn serve_catalogue(&self, catalogue: &Arc<Catalogue>) {
        let before = self.served.load();
        let held_back: Vec<ModuleRelease> = (catalogue.modules())
            .filter(|next| !self.runtime.is_ready(next.digest))
            .filter_map(|next| before.module(&next.name))
            .filter(|last| self.runtime.is_ready(last.digest))
            .cloned()
            .collect();
        let served = if held_back.is_empty() {
            catalogue.clone()
        } else {
            let mut served = Catalogue::clone(catalogue);
            for release in held_back {
                served.apply(&CatalogueChange::PutModule(release));
            }
            served.generation = catalogue.generation;
            Arc::new(served)
        };
        self.served.store(served);
        self.modules_changed.notify_one();
    }
}

impl Shared {
    /// Returns whether the replica's catalogue names a release of a module that is not served or
    /// cannot be called.
    pub(crate) fn holds_back(&self, name: &str) -> bool {
        let Some(replica) = self.replica.load_full() else { return false };
        let point = replica.point.load();
        let Some(wanted) = point.catalogue.module(name) else { return false };
        let served = self.served.load();
        !self.runtime.is_ready(wanted.digest) || served.module(name).is_none_or(|served| served.digest != wanted.digest)
    }

    /// Returns whether every module of the replica's catalogue can be called.
    pub(crate) fn serves_all_modules(&self) -> bool {
        let Some(replica) = self.replica.load_full() else { return true };
        let catalogue = replica.point.load().catalogue.clone();
        catalogue.modules().all(|module| self.runtime.is_ready(module.digest))
    }
}

/// Waits until a release can be called here, for at most `wait_max`.
pub(crate) async fn serves(shared: &Shared, put: &ModulePut, wait_max: Duration) -> Rollout {
    let deadline = Instant::now() + wait_max;
    loop {
        let is_served = shared.served.load().modules().any(|module| module.digest == put.digest);
        let ready = is_served && shared.runtime.is_ready(put.digest);
        if ready || Instant::now() >= deadline {
            return Rollout { ready: usize::from(ready), of: 1 };
        }
        sleep(CHECK_INTERVAL).await;
    }
}

/// Prepares the catalogue's modules until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut prepared: BTreeSet<ModuleDigest> = BTreeSet::new();
    let mut failures: HashMap<ModuleDigest, u32> = HashMap::new();
    loop {
        let retry = prepare_all(&shared, &mut prepared, &mut failures).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.modules_changed.notified() => {}
            () = tokio::time::sleep(retry.unwrap_or(RETRY_MAX)) => {}
        }
    }
}

/// Prepares each module once. Returns when to retry, if one failed.
async fn prepare_all(
    shared: &Arc<Shared>,
    prepared: &mut BTreeSet<ModuleDigest>,
    failures: &mut HashMap<ModuleDigest, u32>,
) -> Option<Duration> {
    let replica = shared.replica.load_full()?;
    let catalogue = replica.point.load().catalogue.clone();
    let wanted: BTreeMap<ModuleDigest, &ModuleRelease> =
        catalogue.modules().map(|module| (module.digest, module)).collect();
    let mut retry = None;
    let mut changed = false;
    for (digest, module) in &wanted {
        if prepared.contains(digest) && shared.runtime.is_ready(*digest) {
            continue;
        }
        match prepare(shared, module).await {
            Ok(()) => {
                tracing::info!(module = %module.name, version = %module.version, %digest, "module ready");
                prepared.insert(*digest);
                failures.remove(digest);
                changed = true;
            }
            Err(error) => {
                let failed = failures.entry(*digest).or_insert(0);
                *failed += 1;
                if *failed == 1 {
                    tracing::warn!(module = %module.name, %digest, %error, "the module is not ready; retrying");
                }
                metrics::counter!("littoral_edge_module_failures_total").increment(1);
                let pause = RETRY_MIN.saturating_mul(1 << (*failed).min(10)).min(RETRY_MAX);
                retry = Some(retry.map_or(pause, |other: Duration| other.min(pause)));
            }
        }
    }
    if changed {
        // Serve the current catalogue, which may have changed in the meantime.
        if let Some(replica) = shared.replica.load_full() {
            let catalogue = replica.point.load().catalogue.clone();
            shared.serve_catalogue(&catalogue);
        }
    }
    let served: BTreeSet<ModuleDigest> = shared.served.load().modules().map(|module| module.digest).collect();
    prepared.retain(|digest| {
        let keep = wanted.contains_key(digest) || served.contains(digest);
        if !keep {
            shared.runtime.retire(*digest);
        }
        keep
    });
    failures.retain(|digest, _| wanted.contains_key(digest));
    retry
}

async fn prepare(shared: &Shared, module: &ModuleRelease) -> Result<(), FetchError> {
    let component = match kept(shared, module.digest).await {
        Some(kept) => kept,
        None => {
            let calls = shared.link.calls().map_err(FetchError::Leader)?;
            let fetched = calls.fetch_module(module.digest).await;
            let component =
                fetched.map_err(|error| FetchError::Leader(error.to_string()))?.ok_or(FetchError::Missing)?;
            keep(shared, module, &component).await;
            component
        }
    };
    Ok(shared.runtime.prepare(module.digest, component).await?)
}

/// Returns a module's component, for edges that follow this one.
pub(crate) async fn component(shared: &Shared, digest: ModuleDigest) -> Option<Bytes> {
    if let Some(kept) = kept(shared, digest).await {
        return Some(kept);
    }
    shared.link.calls().ok()?.fetch_module(digest).await.ok()?
}

/// Returns a component from the disk, if it is there undamaged.
async fn kept(shared: &Shared, digest: ModuleDigest) -> Option<Bytes> {
    let file = component_file(shared, digest)?;
    let encryption = shared.config.encryption.clone();
    let read = tokio::task::spawn_blocking(move || {
        let stored = File::open(&file).ok()?;
        let content = encryption.decode(file_id(FileKind::Component, &file), stored).inspect_err(|error| {
            tracing::warn!(file = %file.display(), %error, "a module's component cannot be read from disk; downloading it again");
        });
        content.ok().filter(|content| ModuleDigest::of(content) == digest)
    });
    read.await.ok().flatten().map(Bytes::from)
}

/// Stores a component for the next start. A failure only costs that start a download.
async fn keep(shared: &Shared, module: &ModuleRelease, component: &Bytes) {
    let Some(file) = component_file(shared, module.digest) else { return };
    let unfinished = file.with_extension(UNFINISHED);
    let kept = async {
        let stored = shared.config.encryption.encode(file_id(FileKind::Component, &file), component)?;
        if let Some(directory) = file.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        tokio::fs::write(&unfinished, stored).await?;
        tokio::fs::rename(&unfinished, &file).await
    };
    if let Err(error) = kept.await {
        tracing::warn!(module = %module.name, file = %file.display(), %error, "a module's component could not be stored on disk; the next start downloads it again");
    }
}

fn component_file(shared: &Shared, digest: ModuleDigest) -> Option<PathBuf> {
    Some(shared.config.data_dir.as_ref()?.join(MODULES).join(format!("{digest}.wasm")))
}
