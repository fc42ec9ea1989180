//! Programs that Debian packages.

use crate::{
    cache,
    missing::{Missing, say},
};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Where a program of this name is on the search path.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    // Servers are often in sbin, which is not on everyone's path.
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(extra).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// The program, installing its Debian package when it is not there.
///
/// # Errors
/// When it is not there and cannot be installed: not root, no apt, no network.
pub fn program(program: &str, package: &str) -> Result<PathBuf, Missing> {
    if let Some(path) = find(program) {
        return Ok(path);
    }
    install(package)?;
    find(program).ok_or_else(|| {
        Missing::new(program, format_args!("package {package} did not bring it"), format_args!("install {program}"))
    })
}

/// Installs a Debian package.
///
/// # Errors
/// As [`program`].
pub fn install(package: &str) -> Result<(), Missing> {
    let remedy = format!("run: apt-get install {package}");
    if find("apt-get").is_none() {
        let why = "this system has no apt-get";
        return Err(Missing::new(package, why, "install it with the system's package manager"));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Missing::new(package, "it is not installed, and only root may install packages", remedy));
    }
    let _one_at_a_time = cache::lock("apt")?;
    say(format_args!("installing the Debian package {package} (apt-get install)"));
    if run(&["install", package]).is_ok() {
        return Ok(());
    }
    say(format_args!("reading the lists of Debian packages first (apt-get update)"));
    let updated = run(&["update"]).and_then(|()| run(&["install", package]));
    updated.map_err(|why| Missing::new(package, why, remedy))
}

fn run(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("apt-get")
        .args(["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // A freshly installed server must not start by itself: tests start their own.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("apt-get {} failed: {last}", arguments.join(" ")))
}
