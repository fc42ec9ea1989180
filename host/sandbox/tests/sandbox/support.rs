//! Guests, runtimes and calls.

use crate::rows::{Answers, NOW, Rows};
use bytes::Bytes;
use littoral_model::{
    column::{Column, ColumnData},
    freshness::ReadDemand,
    module::{ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    ports::{FeatureReader, ModuleCall, ModuleError, ModuleRuntime as _},
    statuses::Statuses,
};
use littoral_sandbox::{Config, Instances, Runtime};
use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

/// The bounds of tests: few instances, a cache that all tests share, and limits so long that no fault becomes a timeout
/// on a busy machine.
pub fn config() -> Config {
    let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-modules");
    fs::create_dir_all(&cache_dir).unwrap();
    fs::set_permissions(&cache_dir, fs::Permissions::from_mode(0o700)).unwrap();
    Config {
        deadline_ms: 2_000,
        wall_ms: 60_000,
        instances_max: 16,
        cache_dir: Some(cache_dir),
        compile_command: Some(compiler()),
        ..Config::default()
    }
}

/// Returns the program that compiles.
pub fn compiler() -> PathBuf {
    env!("CARGO_BIN_EXE_module-compile").into()
}

/// Returns a guest of `/guest`, such as `misbehaving/deeds`, built once; or one built by an earlier SDK, such as
/// `wit-0.1.0/deeds`.
pub fn component(guest: &str) -> Bytes {
    static BUILT: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap();
    let build = || {
        if guest.starts_with("wit-") {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
            return Bytes::from(fs::read(fixtures.join(guest).with_extension("wasm")).unwrap());
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest").join(guest);
        Bytes::from(littoral_module_build::build(&dir).unwrap().bytes)
    };
    built.entry(guest.to_owned()).or_insert_with(build).clone()
}

/// A module that is ready to be called.
pub struct Module {
    pub runtime: Arc<Runtime>,
    pub digest: ModuleDigest,
    pub manifest: Arc<ModuleManifest>,
    pub name: Arc<str>,
}

impl Module {
    pub async fn start(guest: &str, config: Config) -> Self {
        Self::on(&Runtime::new(config).unwrap(), guest).await
    }

    pub async fn on(runtime: &Arc<Runtime>, guest: &str) -> Self {
        let component = component(guest);
        let digest = ModuleDigest::of(&component);
        let manifest = Arc::new(runtime.inspect(component.clone()).await.unwrap());
        runtime.prepare(digest, component).await.unwrap();
        Self { runtime: runtime.clone(), digest, manifest, name: guest.into() }
    }

    /// Starts the misbehaving guest under an instance policy.
    pub async fn deeds(instances: Instances) -> Self {
        Self::start("misbehaving/deeds", Config { instances, ..config() }).await
    }

    /// Starts the misbehaving guest with this deadline.
    pub async fn hurried(instances: Instances, deadline_ms: u64) -> Self {
        Self::start("misbehaving/deeds", Config { instances, deadline_ms, ..config() }).await
    }

    /// Calls it with columns as declared.
    pub async fn call(
        &self,
        rows: usize,
        inputs: Vec<Column>,
        params: Vec<Column>,
        reader: Arc<dyn FeatureReader>,
    ) -> Result<Vec<Column>, ModuleError> {
        let mut call = ModuleCall {
            digest: self.digest,
            name: self.name.clone(),
            rows,
            inputs,
            params,
            reader,
            demand: ReadDemand::default(),
            manifest: self.manifest.clone(),
            now: NOW,
        };
        self.runtime.transform(&mut call).await.map(ModuleOutputs::into_columns)
    }

    /// Lets the misbehaving guest perform one deed. Returns the result for the first row.
    pub async fn deed(&self, deed: &str, n: i64) -> Result<f64, ModuleError> {
        self.deed_on(Rows::new(Answers::Now), deed, n).await
    }

    /// Like [`Module::deed`], with this replica.
    pub async fn deed_on(&self, rows: Arc<Rows>, deed: &str, n: i64) -> Result<f64, ModuleError> {
        let deed = present(ColumnData::String(vec![deed.to_owned(); 2]));
        let columns = self.call(2, Vec::new(), vec![deed, present(ColumnData::Int64(vec![n; 2]))], rows).await?;
        match &columns[..] {
            [Column { data: ColumnData::Double(values), statuses }] if statuses.len() == 2 => Ok(values[0]),
            columns => panic!("the sandbox let through {columns:?}"),
        }
    }
}

/// Returns a column of present values.
pub fn present(data: ColumnData) -> Column {
    Column { statuses: Statuses::present(data.len()), data }
}
