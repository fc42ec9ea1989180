//! The cache of installed programs, and the locks that keep parallel tests from installing one twice.

use crate::{missing::Missing, project};
use std::{
    fs::{self, File},
    path::PathBuf,
};

/// A file lock. It is released when the value is dropped or the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Returns the project's root, for tests.
///
/// # Panics
/// When there is none: a test runs in its package's directory, within a checkout.
#[must_use]
pub fn workspace() -> PathBuf {
    project::root().unwrap_or_else(|missing| panic!("{missing}"))
}

/// Returns where cargo builds.
#[must_use]
pub fn target() -> PathBuf {
    let in_project = || project::root().map_or_else(|_| std::env::temp_dir(), |root| root.join("target"));
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(in_project, PathBuf::from)
}

/// Returns the directory of this name among what is installed: under `$LITTORAL_CACHE`, or under the workspace's
/// `target`. It may not exist yet.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let root = std::env::var_os("LITTORAL_CACHE").map_or_else(|| target().join("littoral-provision"), PathBuf::from);
    root.join(name)
}

/// Acquires the lock of this name; waits while another process holds it.
///
/// # Errors
/// When the cache is not writable.
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
