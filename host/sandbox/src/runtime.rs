//! The runtime: every release that is ready, by digest.

use crate::{
    cache::Cache,
    call::{self, Made},
    compiler::Compiler,
    config::{Config, Instances},
    engine,
    release::Release,
    sharing, ticker,
};
use bytes::Bytes;
use littoral_at_rest::Encryption;
use littoral_model::{
    module::{ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    ports::{BoxFuture, ModuleCall, ModuleError, ModuleRuntime},
};
use littoral_runtime::trace::{self, Span};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::HashMap,
    hash::{Hash as _, Hasher as _},
    io,
    sync::Arc,
    time::Duration,
};
use wasmtime::Engine;
use xxhash_rust::xxh3::Xxh3;

/// The interval at which the files of the cache are checked for keys other than the first.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Runs modules.
pub struct Runtime {
    engine: Engine,
    calls: Arc<Calls>,
    compiler: Compiler,
    cache: Option<Cache>,
    encryption: Encryption,
    /// The component that was inspected last: usually it is prepared next.
    inspected: Mutex<Option<(ModuleDigest, Loaded)>>,
}

/// The state that calls need: shared with the tasks that make shared calls.
pub(crate) struct Calls {
    config: Config,
    releases: RwLock<HashMap<ModuleDigest, Arc<Release>>>,
}

/// A ready release, with its native code if that is not in the cache yet.
struct Loaded {
    release: Arc<Release>,
    code: Option<Vec<u8>>,
}

/// Why this process cannot run modules.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine does not start, usually for lack of address space for its pools.
    #[error(
        "the sandbox cannot start: {0}; lower instances_max or memory_bytes, or raise the limit of address space (ulimit -v)"
    )]
    Engine(String),
    /// The epoch's clock has no thread.
    #[error("the sandbox cannot start its clock: {0}")]
    Clock(io::Error),
    /// The cache's directory cannot be used.
    #[error("compiled modules cannot be stored: {0}")]
    Cache(io::Error),
}

impl Runtime {
    /// Starts the sandbox.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(config: Config) -> Result<Arc<Self>, StartError> {
        Self::with_encryption(config, Encryption::default())
    }

    /// Starts the sandbox with encrypted files in its cache.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn with_encryption(config: Config, encryption: Encryption) -> Result<Arc<Self>, StartError> {
        let engine = engine::running(&config).map_err(|error| StartError::Engine(format!("{error:#}")))?;
        ticker::start(&engine).map_err(StartError::Clock)?;
        let mut compatibility = Xxh3::new();
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        let open = |dir| Cache::open(dir, compatibility.finish(), encryption.clone());
        let cache = config.cache_dir.clone().map(open).transpose();
        Ok(Arc::new(Self {
            engine,
            compiler: Compiler::new(config.clone()),
            cache: cache.map_err(StartError::Cache)?,
            encryption,
            calls: Arc::new(Calls { config, releases: RwLock::default() }),
            inspected: Mutex::default(),
        }))
    }

    /// Keeps the files of the cache under the first key of the key ring: at the start, whenever the key ring changes,
    /// and at intervals. Never returns.
    pub async fn keep_encrypted(&self) {
        let mut changes = self.encryption.changes();
        loop {
            if let Some(cache) = self.cache.clone() {
                // What failed is tried again.
                let _ = tokio::task::spawn_blocking(move || cache.renew()).await;
            }
            tokio::select! {
                () = changes.changed() => {}
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    }

    fn release(&self, digest: ModuleDigest) -> Option<Arc<Release>> {
        self.calls.releases.read().get(&digest).cloned()
    }

    async fn load(&self, digest: ModuleDigest, component: Bytes) -> Result<Loaded, ModuleError> {
        let (size, allowed) = (component.len() as u64, self.calls.config.component_bytes);
        if size > allowed {
            return Err(ModuleError::Rejected(format!("it has {size} bytes; at most {allowed} are allowed")));
        }
        if let Some(cache) = self.cache.clone() {
            let (engine, config) = (self.engine.clone(), self.calls.config.clone());
            let cached = blocking(move || cache.get(digest).map(|code| Release::load(&engine, &code, &config))).await?;
            match cached {
                Some(Ok(release)) => return Ok(Loaded { release: Arc::new(release), code: None }),
                Some(Err(error)) => {
                    tracing::warn!(%digest, %error, "a compiled module does not load; compiling it again");
                }
                None => {}
            }
        }
        let code = self.compiler.compile(component).await?;
        let (engine, config) = (self.engine.clone(), self.calls.config.clone());
        let (release, code) = blocking(move || (Release::load(&engine, &code, &config), code)).await?;
        Ok(Loaded { release: Arc::new(release?), code: Some(code) })
    }

    /// Removes and returns the component that was inspected last, if it has this digest.
    fn remove_inspected(&self, digest: ModuleDigest) -> Option<Loaded> {
        let mut inspected = self.inspected.lock();
        if inspected.as_ref().is_some_and(|(known, _)| *known == digest) {
            inspected.take().map(|(_, loaded)| loaded)
        } else {
            None
        }
    }
}

// === impl Calls ===

impl Calls {
    /// Calls a release for these rows alone. If the call fails, `call` contains its columns again.
    pub(crate) async fn transform(
        &self,
        release: &Release,
        call: &mut ModuleCall,
    ) -> Result<ModuleOutputs, ModuleError> {
        self.make(release, call).await.map(|made| ModuleOutputs::from(made.columns))
    }

    /// Like [`Calls::transform`], but also reports whether the call was bounded. In that case too, `call` contains its
    /// columns again.
    pub(crate) async fn make(&self, release: &Release, call: &mut ModuleCall) -> Result<Made, ModuleError> {
        call::transform(release, call, &self.config, || self.shed()).await
    }

    /// Returns whether requests may share calls of this module.
    fn shares(&self, call: &ModuleCall) -> bool {
        call.manifest.row_wise && self.config.instances == Instances::Warm && self.config.joined_rows > 1
    }

    /// Drops every idle instance, because a call needs one.
    fn shed(&self) {
        self.releases.read().values().for_each(|release| release.shed());
    }
}

/// Runs blocking work on another thread, so that it does not delay other calls.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ModuleError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ModuleError::Rejected(format!("the sandbox failed to load it: {error}")))
}

impl ModuleRuntime for Runtime {
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async move {
            let bytes = component.clone();
            let digest = blocking(move || ModuleDigest::of(&bytes)).await?;
            if let Some(release) = self.release(digest) {
                return call::describe(&release, &self.calls.config, || self.calls.shed()).await;
            }
            let loaded = self.load(digest, component).await?;
            let manifest = call::describe(&loaded.release, &self.calls.config, || self.calls.shed()).await?;
            *self.inspected.lock() = Some((digest, loaded));
            Ok(manifest)
        })
    }

    fn prepare(&self, digest: ModuleDigest, component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>> {
        Box::pin(async move {
            if self.is_ready(digest) {
                return Ok(());
            }
            let loaded = match self.remove_inspected(digest) {
                Some(loaded) => loaded,
                None => {
                    let bytes = component.clone();
                    if blocking(move || ModuleDigest::of(&bytes)).await? != digest {
                        return Err(ModuleError::Rejected(format!("its bytes are not those of {digest}")));
                    }
                    self.load(digest, component).await?
                }
            };
            if let (Some(cache), Some(code)) = (self.cache.clone(), loaded.code) {
                blocking(move || cache.put(digest, &code)).await?;
            }
            self.calls.releases.write().entry(digest).or_insert(loaded.release);
            Ok(())
        })
    }

    fn is_ready(&self, digest: ModuleDigest) -> bool {
        self.calls.releases.read().contains_key(&digest)
    }

    fn transform<'a>(&'a self, call: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>> {
        let Some(release) = self.release(call.digest) else {
            let error = ModuleError::NotReady { module: call.name.to_string() };
            return Box::pin(async { Err(error) });
        };
        let (module, span) = (call.name.clone(), span(call));
        if let Err(error) = release.check(call) {
            return Box::pin(async move { ended(&module, span, Err(error)) });
        }
        // Boxed separately: a request that waits for a shared call needs a fraction of the memory of one that makes a
        // call.
        if self.calls.shares(call) {
            return Box::pin(async move {
                let made = trace::within(span.context(), sharing::transform(&self.calls, &release, call)).await;
                ended(&module, span, made)
            });
        }
        Box::pin(async move {
            let made = trace::within(span.context(), self.calls.transform(&release, call)).await;
            ended(&module, span, made)
        })
    }

    fn retire(&self, digest: ModuleDigest) {
        self.calls.releases.write().remove(&digest);
        if let Some(cache) = &self.cache {
            cache.remove(digest);
        }
    }
}

/// Begins the span of a call.
fn span(call: &ModuleCall) -> Span {
    let mut span = Span::child("module", trace::Kind::Internal);
    if span.is_recorded() {
        span.set_text("littoral.module", &call.name);
        span.set_text("littoral.module.digest", call.digest);
        span.set("littoral.rows", call.rows);
    }
    span
}

/// Counts a failed call, and ends the span of the call.
fn ended<T>(module: &str, mut span: Span, made: Result<T, ModuleError>) -> Result<T, ModuleError> {
    if let Err(error) = &made {
        span.failed(kind(error));
        metrics::counter!("littoral_module_faults_total", "module" => littoral_runtime::metrics::label(module), "kind" => kind(error))
            .increment(1);
    }
    made
}

fn kind(error: &ModuleError) -> &'static str {
    match error {
        ModuleError::Rejected(_) => "refused",
        ModuleError::Trap { .. } => "trap",
        ModuleError::Timeout { .. } => "timeout",
        ModuleError::OutOfMemory { .. } => "out_of_memory",
        ModuleError::WrongShape { .. } => "wrong_shape",
        ModuleError::Failed { .. } => "failed",
        ModuleError::Busy { .. } => "busy",
        ModuleError::NotReady { .. } => "not_ready",
        ModuleError::Unavailable { .. } => "unavailable",
        ModuleError::Lookup { .. } => "lookup",
    }
}
