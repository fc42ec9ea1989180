//! Modules' components on disk, by their content address.

use bytes::Bytes;
use littoral_log::storage::{self, Storage};
use littoral_model::{catalogue::Catalogue, module::ModuleDigest, ports::ModuleRuntime};
use parking_lot::Mutex;
use std::{collections::HashMap, io, sync::Arc};

/// The largest file that is read back, in bytes.
const LEN_MAX: u64 = 1 << 30;

#[derive(Clone, Debug)]
pub(crate) struct Modules {
    storage: Arc<dyn Storage>,
    /// Releases on their way into the catalogue: neither retired nor collected meanwhile.
    pending: Arc<Mutex<HashMap<ModuleDigest, usize>>>,
}

/// Keeps a release from being collected while it is on its way into the catalogue.
#[derive(Debug)]
pub(crate) struct Pending {
    modules: Modules,
    digest: ModuleDigest,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = self.modules.pending.lock();
        if let Some(count) = pending.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.digest);
            }
        }
    }
}

fn file(digest: ModuleDigest) -> String {
    format!("{digest}.wasm")
}

fn parse(name: &str) -> Option<ModuleDigest> {
    name.strip_suffix(".wasm")?.parse().ok()
}

impl Modules {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, pending: Arc::default() }
    }

    /// Keeps `digest` from being collected until what is returned is dropped.
    pub(crate) fn hold(&self, digest: ModuleDigest) -> Pending {
        *self.pending.lock().entry(digest).or_default() += 1;
        Pending { modules: self.clone(), digest }
    }

    /// Stores a component durably.
    pub(crate) fn store(&self, digest: ModuleDigest, component: &[u8]) -> io::Result<()> {
        if self.load(digest).is_ok() {
            return Ok(());
        }
        storage::replace(&*self.storage, &file(digest), component)
    }

    /// Reads a component back and has the sandbox make it ready. What went wrong is for people.
    pub(crate) async fn make_ready(&self, runtime: &dyn ModuleRuntime, digest: ModuleDigest) -> Result<(), String> {
        let modules = self.clone();
        match tokio::task::spawn_blocking(move || modules.load(digest)).await {
            Ok(Ok(component)) => runtime.prepare(digest, component).await.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads a component back and checks that it is the right one.
    pub(crate) fn load(&self, digest: ModuleDigest) -> io::Result<Bytes> {
        let bytes = storage::read(&*self.storage, &file(digest), LEN_MAX)?;
        if ModuleDigest::of(&bytes) == digest {
            Ok(Bytes::from(bytes))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", file(digest))))
        }
    }

    /// Tells the sandbox of releases that `after` does not name any more.
    pub(crate) fn retire(&self, runtime: &dyn ModuleRuntime, before: &Catalogue, after: &Catalogue) {
        let pending = self.pending.lock();
        for module in before.modules() {
            let digest = module.digest;
            if !pending.contains_key(&digest) && after.modules().all(|still| still.digest != digest) {
                runtime.retire(digest);
            }
        }
    }

    /// Removes the files of releases that `catalogue` does not name. Returns how many.
    pub(crate) fn collect(&self, catalogue: impl FnOnce() -> Arc<Catalogue>) -> io::Result<usize> {
        // Held throughout: a release that is stored now waits, and its file with it. The catalogue is looked at only now,
        // as a release stops being held when the catalogue names it.
        let pending = self.pending.lock();
        let catalogue = catalogue();
        let mut removed = 0;
        for name in self.storage.list()? {
            let unused = match parse(&name) {
                Some(digest) => {
                    !pending.contains_key(&digest) && catalogue.modules().all(|module| module.digest != digest)
                }
                None => name.ends_with(storage::TEMPORARY) && pending.is_empty(),
            };
            if unused {
                self.storage.remove(&name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
