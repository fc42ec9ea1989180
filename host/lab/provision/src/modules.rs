//! Components of the modules in `guest/`, built with the product's own command.

use crate::{binary, cache, missing::Missing};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Builds the module crate in this directory of `guest/` (as `modules/delay_risk`) and gives its component's bytes.
///
/// # Errors
/// When the guest's toolchain cannot be had, or the crate does not build.
pub fn build(dir: &str) -> Result<Vec<u8>, Missing> {
    build_with(&binary::littoral(), dir)
}

/// The same with this executable.
///
/// # Errors
/// As [`build`].
pub fn build_with(littoral: &Path, dir: &str) -> Result<Vec<u8>, Missing> {
    let source = cache::workspace().join("guest").join(dir);
    let _one_at_a_time = cache::lock("guest")?;
    let out: PathBuf = cache::path(&format!("{}.wasm", dir.replace('/', "-")));
    let output = Command::new(littoral)
        .args(["module", "build"])
        .arg(&source)
        .arg("--out")
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Missing::io("littoral module build", &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Missing::new(format_args!("the component of {dir}"), said, "make it build"));
    }
    fs::read(&out).map_err(|error| Missing::io(format_args!("the component {}", out.display()), &error))
}
