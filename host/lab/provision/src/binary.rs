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

/// The `littoral` executable: `$LITTORAL_BIN`, or built from this workspace in the profile of the test.
///
/// # Panics
/// When it does not build: every test that asks would fail.
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
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--workspace", "--bin", "littoral", "--message-format=short"]);
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
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Missing::new("the littoral executable", said, "make it build"));
    }
    Ok(cache::target().join(if release { "release" } else { "debug" }).join("littoral"))
}
