//! The components of modules: stored on disk by their content address, and prepared in the sandbox.

use bytes::Bytes;
use littoral_log::storage::{self, Storage};
use littoral_model::{catalogue::Catalogue, module::ModuleDigest, ports::ModuleRuntime};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Weak},
};
use tokio::runtime;

/// The largest file that is read back, in bytes.
const LEN_MAX: u64 = 1 << 30;

/// Stores components and prepares them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Modules {
    storage: Arc<dyn Storage>,
    pub(crate) sandbox: Arc<dyn ModuleRuntime>,
    /// The runtime for tasks that a thread starts.
    tasks: runtime::Handle,
    /// Releases on their way into the catalogue. Locked over the removal of files, so only threads that may block take
    /// the lock.
    held: Arc<Mutex<HashMap<ModuleDigest, Weak<()>>>>,
}

/// Keeps a release from being retired or collected while it is on its way into the catalogue. Dropping it takes no
/// lock.
#[derive(Debug)]
pub(crate) struct Held {
    _token: Arc<()>,
}

fn file(digest: ModuleDigest) -> String {
    format!("{digest}.wasm")
}

fn parse(name: &str) -> Option<ModuleDigest> {
    name.strip_suffix(".wasm")?.parse().ok()
}

fn is_held(held: &HashMap<ModuleDigest, Weak<()>>, digest: ModuleDigest) -> bool {
    held.get(&digest).is_some_and(|token| token.strong_count() > 0)
}

impl Modules {
    pub(crate) fn new(storage: Arc<dyn Storage>, sandbox: Arc<dyn ModuleRuntime>, tasks: runtime::Handle) -> Self {
        Self { storage, sandbox, tasks, held: Arc::default() }
    }

    /// Keeps `digest` from being retired and collected until the result is dropped. Blocks for the disk.
    fn hold_now(&self, digest: ModuleDigest) -> Held {
        let mut held = self.held.lock();
        held.retain(|_, token| token.strong_count() > 0);
        let token = held.get(&digest).and_then(Weak::upgrade).unwrap_or_default();
        held.insert(digest, Arc::downgrade(&token));
        Held { _token: token }
    }

    /// Keeps `digest` from being retired and collected until the result is dropped.
    pub(crate) async fn hold(&self, digest: ModuleDigest) -> io::Result<Held> {
        self.blocking(move |modules| Ok(modules.hold_now(digest))).await
    }

    /// Holds a release whose component is stored.
    ///
    /// # Errors
    /// It is not stored, or damaged.
    pub(crate) async fn hold_stored(&self, digest: ModuleDigest) -> io::Result<Held> {
        self.blocking(move |modules| {
            let held = modules.hold_now(digest);
            modules.load(digest).map(|_| held)
        })
        .await
    }

    /// Runs `work` on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let modules = self.clone();
        tokio::task::spawn_blocking(move || work(&modules)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Stores a component durably. Blocks for the disk.
    pub(crate) fn store(&self, digest: ModuleDigest, component: &[u8]) -> io::Result<()> {
        if self.load(digest).is_ok() {
            return Ok(());
        }
        storage::replace(&*self.storage, &file(digest), component)
    }

    /// Reads a component back and verifies its digest. Blocks for the disk.
    pub(crate) fn load(&self, digest: ModuleDigest) -> io::Result<Bytes> {
        let bytes = storage::read(&*self.storage, &file(digest), LEN_MAX)?;
        if ModuleDigest::of(&bytes) == digest {
            Ok(Bytes::from(bytes))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", file(digest))))
        }
    }

    /// Prepares the modules of `catalogue` that are not ready, in the background.
    pub(crate) fn make_ready(&self, catalogue: &Catalogue) {
        for module in catalogue.modules() {
            let (digest, name) = (module.digest, module.name.clone());
            if self.sandbox.is_ready(digest) {
                continue;
            }
            let modules = self.clone();
            self.tasks.spawn(async move {
                if let Err(error) = modules.prepare_stored(digest).await {
                    tracing::error!(module = name, %digest, error, "a module cannot be called here; upload it again");
                }
            });
        }
    }

    async fn prepare_stored(&self, digest: ModuleDigest) -> Result<(), String> {
        let component = self.blocking(move |modules| modules.load(digest)).await.map_err(|error| error.to_string())?;
        self.sandbox.prepare(digest, component).await.map_err(|error| error.to_string())
    }

    /// Removes releases from the sandbox that `before` names and `after` does not. Blocks for the disk.
    pub(crate) fn retire(&self, before: &Catalogue, after: &Catalogue) {
        let held = self.held.lock();
        for module in before.modules() {
            let digest = module.digest;
            if !is_held(&held, digest) && after.modules().all(|still| still.digest != digest) {
                self.sandbox.retire(digest);
            }
        }
    }

    /// Removes the files of releases that the catalogue does not name. Returns how many. Blocks for the disk.
    pub(crate) fn collect(&self, catalogue: impl FnOnce() -> Arc<Catalogue>) -> io::Result<usize> {
        // Locked throughout: a release that is to be held waits. The catalogue is loaded under the lock, because a
        // release is held until the catalogue names it.
        let held = self.held.lock();
        let catalogue = catalogue();
        let nothing_held = held.values().all(|token| token.strong_count() == 0);
        let mut removed = 0;
        for name in self.storage.list()? {
            let unused = match parse(&name) {
                Some(digest) => !is_held(&held, digest) && catalogue.modules().all(|module| module.digest != digest),
                None => name.ends_with(storage::TEMPORARY) && nothing_held,
            };
            if unused {
                self.storage.remove(&name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
