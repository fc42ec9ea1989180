//! Where what was installed is kept, and the lock that keeps parallel tests from installing it twice.

use crate::missing::Missing;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// A lock that ends with the value, or with the process.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// The workspace that this crate was built from.
#[must_use]
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Where cargo builds.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The directory of this name among what is installed: under `$LITTORAL_CACHE`, or under the workspace's `target`.
/// It may not exist yet.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let root = std::env::var_os("LITTORAL_CACHE").map_or_else(|| target().join("littoral-provision"), PathBuf::from);
    root.join(name)
}

/// Takes the lock of this name, waiting for whoever has it.
///
/// # Errors
/// When the cache cannot be written.
pub fn lock(name: &str) -> Result<Lock, Missing> {
    let root = path("");
    let locked = || {
        fs::create_dir_all(&root)?;
        let file = File::create(root.join(format!("{name}.lock")))?;
        file.lock()?;
        Ok(Lock(file))
    };
    locked().map_err(|error| Missing::io(format_args!("a writable cache at {}", root.display()), &error))
}
