//! The runtime: every release that is ready, by digest.

use crate::{cache::Cache, call, compiler::Compiler, config::Config, engine, release::Release, ticker};
use bytes::Bytes;
use littoral_model::{
    column::Column,
    module::{ModuleDigest, ModuleManifest},
    ports::{BoxFuture, ModuleCall, ModuleError, ModuleRuntime},
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    hash::{Hash as _, Hasher as _},
    io,
    sync::Arc,
};
use wasmtime::Engine;
use xxhash_rust::xxh3::Xxh3;

/// Runs modules.
pub struct Runtime {
    engine: Engine,
    config: Config,
    compiler: Compiler,
    cache: Option<Cache>,
    releases: RwLock<HashMap<ModuleDigest, Arc<Release>>>,
}

/// Why modules cannot be run on this host.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine does not start: mostly address space for its pools.
    #[error(
        "the sandbox cannot start: {0}; lower instances_max or memory_bytes, or raise the limit of address space (ulimit -v)"
    )]
    Engine(String),
    /// No thread for the epoch's clock.
    #[error("the sandbox cannot start its clock: {0}")]
    Clock(io::Error),
    /// The cache's directory cannot be used.
    #[error("compiled modules cannot be kept: {0}")]
    Cache(io::Error),
}

impl Runtime {
    /// Starts the sandbox.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(config: Config) -> Result<Arc<Self>, StartError> {
        let engine = engine::running(&config).map_err(|error| StartError::Engine(format!("{error:#}")))?;
        ticker::start(&engine).map_err(StartError::Clock)?;
        let mut compatibility = Xxh3::new();
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        let cache = (config.cache_dir.clone()).map(|dir| Cache::open(dir, compatibility.finish())).transpose();
        Ok(Arc::new(Self {
            engine,
            compiler: Compiler::new(config.clone()),
            cache: cache.map_err(StartError::Cache)?,
            config,
            releases: RwLock::default(),
        }))
    }

    fn release(&self, digest: ModuleDigest) -> Option<Arc<Release>> {
        self.releases.read().get(&digest).cloned()
    }

    async fn load(&self, digest: ModuleDigest, component: Bytes) -> Result<Release, ModuleError> {
        if let Some(code) = self.cache.as_ref().and_then(|cache| cache.get(digest)) {
            match Release::load(&self.engine, &code, &self.config) {
                Ok(release) => return Ok(release),
                Err(error) => tracing::warn!(%digest, %error, "a compiled module does not load and is compiled again"),
            }
        }
        if ModuleDigest::of(&component) != digest {
            return Err(ModuleError::Refused(format!("its bytes are not those of {digest}")));
        }
        let code = self.compiler.compile(component).await?;
        let release = Release::load(&self.engine, &code, &self.config)?;
        if let Some(cache) = &self.cache {
            cache.put(digest, &code);
        }
        Ok(release)
    }
}

impl ModuleRuntime for Runtime {
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async move {
            let digest = ModuleDigest::of(&component);
            let release = match self.release(digest) {
                Some(release) => release,
                None => Arc::new(self.load(digest, component).await?),
            };
            call::describe(&release, &self.config).await
        })
    }

    fn prepare(&self, digest: ModuleDigest, component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>> {
        Box::pin(async move {
            if !self.is_ready(digest) {
                let release = Arc::new(self.load(digest, component).await?);
                self.releases.write().entry(digest).or_insert(release);
            }
            Ok(())
        })
    }

    fn is_ready(&self, digest: ModuleDigest) -> bool {
        self.releases.read().contains_key(&digest)
    }

    fn transform<'a>(&'a self, call: ModuleCall) -> BoxFuture<'a, Result<Vec<Column>, ModuleError>> {
        let release = self.release(call.digest);
        Box::pin(async move {
            let Some(release) = release else {
                return Err(ModuleError::NotReady { module: call.name.to_string() });
            };
            let module = call.name.clone();
            let answer = call::transform(&release, call, &self.config).await;
            if let Err(error) = &answer {
                metrics::counter!("littoral_module_faults_total", "module" => module.to_string(), "kind" => kind(error))
                    .increment(1);
            }
            answer
        })
    }

    fn retire(&self, digest: ModuleDigest) {
        self.releases.write().remove(&digest);
        if let Some(cache) = &self.cache {
            cache.remove(digest);
        }
    }
}

fn kind(error: &ModuleError) -> &'static str {
    match error {
        ModuleError::Refused(_) => "refused",
        ModuleError::Trap { .. } => "trap",
        ModuleError::Timeout { .. } => "timeout",
        ModuleError::OutOfMemory { .. } => "out_of_memory",
        ModuleError::WrongShape { .. } => "wrong_shape",
        ModuleError::Failed { .. } => "failed",
        ModuleError::Busy { .. } => "busy",
        ModuleError::NotReady { .. } => "not_ready",
        ModuleError::Lookup { .. } => "lookup",
    }
}
