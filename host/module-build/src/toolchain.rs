//! Finds the compiler that builds WebAssembly on this host.

use crate::{debian, error::Error};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The target that guests are built for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The settings with which cargo builds WebAssembly.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) variables: Vec<(String, OsString)>,
    pub(crate) arguments: Vec<String>,
}

/// Returns the settings for rustup's target if it is installed, and otherwise for Debian's compiler.
pub(crate) fn find() -> Result<Toolchain, Error> {
    let libraries = output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(libraries.trim()).exists() {
        return Ok(Toolchain { variables: Vec::new(), arguments: Vec::new() });
    }
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    debian::find(&PathBuf::from(sysroot.trim()))
}

/// Returns what a program prints on its standard output. Ignores its exit code.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let out = out.map_err(|source| Error::Run { program, source })?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
