//! Runs cargo on a guest crate.

use crate::{
    error::Error,
    toolchain::{TARGET, Toolchain},
};
use serde::Deserialize;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// After this time, a message states that the build takes long.
const LONG: Duration = Duration::from_secs(5);

/// The result of a build.
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) wasm: PathBuf,
}

/// A line of cargo's `--message-format=json`, with the fields that are used here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Returns the absolute path of the manifest of the guest crate in a folder.
pub(crate) fn manifest(dir: &Path) -> Result<PathBuf, Error> {
    let manifest = dir.join("Cargo.toml");
    manifest.canonicalize().map_err(|_| Error::NoCrate(dir.to_owned()))
}

/// Builds the guest with the release profile.
pub(crate) fn build(manifest: &Path, toolchain: &Toolchain) -> Result<Artifact, Error> {
    let mut command = cargo(manifest);
    command
        .args(["build", "--release", "--quiet", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .args(&toolchain.arguments)
        .envs(toolchain.variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped());
    let _patience = patience(manifest);
    let mut child = command.spawn().map_err(|source| Error::Run { program: "cargo".into(), source })?;
    let mut artifact = None;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.map_err(|source| Error::Run { program: "cargo".into(), source })?;
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            if message.reason == "compiler-artifact"
                && message.manifest_path == manifest
                && let Some(wasm) = message.filenames.iter().find(|file| file.extension().is_some_and(|e| e == "wasm"))
            {
                let (name, version) = name_and_version(&message.package_id, manifest);
                artifact = Some(Artifact { name, version, wasm: wasm.clone() });
            }
        }
    }
    let status = child.wait().map_err(|source| Error::Run { program: "cargo".into(), source })?;
    if !status.success() {
        return Err(Error::Build(manifest.to_owned()));
    }
    artifact.ok_or_else(|| Error::NoModule(manifest.to_owned()))
}

/// Prints a message once a build has taken [`LONG`], unless the returned sender is dropped before that.
fn patience(manifest: &Path) -> mpsc::SyncSender<()> {
    let (done, waiting) = mpsc::sync_channel(0);
    let dir = manifest.parent().unwrap_or(manifest).to_owned();
    thread::spawn(move || {
        if waiting.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("Building the guest in {} (the first build takes up to a minute or two) …", dir.display());
        }
    });
    done
}

/// Runs the guest's tests natively. Returns whether they passed.
pub(crate) fn test(manifest: &Path) -> Result<bool, Error> {
    let mut command = cargo(manifest);
    command.args(["test", "--quiet", "--manifest-path"]).arg(manifest);
    let status = command.status().map_err(|source| Error::Run { program: "cargo".into(), source })?;
    Ok(status.success())
}

/// Returns a command that runs cargo without the variables of a build that this process may be part of.
fn cargo(manifest: &Path) -> Command {
    let mut command = Command::new("cargo");
    let inherited = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_BUILD_")
            || ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"]
                .contains(&&*name)
            || ["RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOCFLAGS"].contains(&&*name)
    });
    for (name, _) in inherited {
        command.env_remove(name);
    }
    // Run in the guest's folder, so that its .cargo/config.toml applies as it does for a person.
    if let Some(dir) = manifest.parent() {
        command.current_dir(dir);
    }
    command.stdin(Stdio::null());
    command
}

/// Returns the name and version from a package id such as `path+file:///…/delay_risk#0.1.0` or `…#delay_risk@0.1.0`. If
/// the id has no name, the folder's name is used.
fn name_and_version(id: &str, manifest: &Path) -> (String, String) {
    let folder = manifest.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let folder = folder.unwrap_or_default();
    match id.rsplit_once('#') {
        Some((_, tail)) => match tail.split_once('@') {
            Some((name, version)) => (name.to_owned(), version.to_owned()),
            None => (folder, tail.to_owned()),
        },
        None => (folder, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_id_tells_name_and_version() {
        let manifest = Path::new("/guest/modules/delay_risk/Cargo.toml");
        for id in ["path+file:///guest/modules/delay_risk#0.1.0", "path+file:///guest/modules/x#delay_risk@0.1.0"] {
            assert_eq!(name_and_version(id, manifest), ("delay_risk".into(), "0.1.0".into()));
        }
    }

    #[test]
    fn a_folder_without_a_crate_is_named() {
        let error = manifest(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent has no Cargo.toml"), "{error}");
    }
}
