//! The executable under test.

use crate::{
    cache,
    missing::{Missing, say},
};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Returns the `littoral` executable: `$LITTORAL_BIN`, or the workspace's, built in the profile of the test.
///
/// # Panics
/// When it does not build: every test that needs it would fail.
#[must_use]
pub fn littoral() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| build().unwrap_or_else(|missing| panic!("{missing}"))).clone()
}

fn build() -> Result<PathBuf, Missing> {
    if let Some(named) = std::env::var_os("LITTORAL_BIN") {
        return Ok(PathBuf::from(named));
    }
    // Cargo builds a package's executable for that package's own tests only. With nothing to do it takes half a second.
    // The whole workspace is selected so that dependencies have the features that `cargo test --workspace` gave them.
    let release = !cfg!(debug_assertions);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--workspace", "--bin", "littoral", "--message-format=short"]);
    // Variables that cargo sets for the running test would make it build `ring`, and all that depends on it, again.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if release {
        command.arg("--release");
    }
    say(format_args!("cargo build --bin littoral"));
    let output = command
        .current_dir(cache::workspace())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Missing::io("cargo", &error))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Missing::new("the littoral executable", errors, "fix the build"));
    }
    Ok(cache::target().join(if release { "release" } else { "debug" }).join("littoral"))
}
