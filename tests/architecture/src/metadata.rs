//! The workspace's packages, from `cargo metadata`.

use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub struct Package {
    name: String,
    manifest_path: PathBuf,
    /// Its dependencies.
    pub dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

/// A library, program, test, benchmark or example of a package.
#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

/// A dependency of a package.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    pub kind: Option<String>,
    /// Its directory, if it is a package of the workspace.
    pub path: Option<PathBuf>,
}

impl Package {
    /// Returns its name without the prefix that all packages share. The command's package has the bare prefix for its
    /// name.
    #[must_use]
    pub fn short_name(&self) -> &str {
        short(&self.name)
    }

    /// Returns the root files of its library and programs, within the repository.
    pub fn roots(&self) -> impl Iterator<Item = PathBuf> {
        let ship = |target: &&Target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin");
        self.targets.iter().filter(ship).map(|target| within(&target.src_path))
    }

    /// Returns its directory within the repository.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        within(self.manifest_path.parent().unwrap_or(&self.manifest_path))
    }
}

impl Dependency {
    /// Returns its name without the prefix that all packages share.
    #[must_use]
    pub fn short_name(&self) -> &str {
        short(&self.name)
    }

    /// Returns its directory within the repository, if it is a package of the workspace.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        self.path.as_deref().map(within)
    }
}

fn short(name: &str) -> &str {
    if name == "littoral" { "app" } else { name.strip_prefix("littoral-").unwrap_or(name) }
}

fn within(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_owned()
}

/// Returns the repository's directory.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// Returns the packages of the workspace.
///
/// # Panics
/// If cargo fails.
#[must_use]
pub fn packages() -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"]).current_dir(root());
    let output = match cargo.output() {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => panic!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("cargo metadata cannot be run: {error}"),
    };
    match serde_json::from_slice::<Metadata>(&output) {
        Ok(metadata) => metadata.packages,
        Err(error) => panic!("the output of cargo metadata cannot be read: {error}"),
    }
}
