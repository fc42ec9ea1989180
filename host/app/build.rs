//! Records the build: the version, and the commit if the sources are a git checkout.

use std::{env, process::Command};

fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let build = match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=LITTORAL_BUILD={build}");
    println!("cargo::rerun-if-changed=build.rs");
    // git appends to this file whenever a commit is made or checked out.
    if let Some(file) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={file}");
    }
}

/// Returns git's output, trimmed; `None` if git is missing, fails, or prints nothing, as it does outside a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
