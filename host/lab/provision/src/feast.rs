//! A Python environment with Feast, to read, write and push like Feast's users.

use crate::{cache, missing::Missing, python};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The release of Feast that tests and measurements use.
pub const VERSION: &str = "0.67.0";

/// A Python environment that has Feast.
#[derive(Clone, Debug)]
pub struct Environment {
    bin: PathBuf,
}

impl Environment {
    /// Returns the environment if it exists: that of the interpreter `$LITTORAL_FEAST_PYTHON`, otherwise the one that
    /// [`Environment::install`] creates.
    #[must_use]
    pub fn find() -> Option<Self> {
        if let Some(python) = std::env::var_os("LITTORAL_FEAST_PYTHON") {
            return Self::at(Path::new(&python).parent()?);
        }
        let root = root();
        root.join("complete").is_file().then(|| Self::at(&root.join("bin"))).flatten()
    }

    /// Returns the environment; creates it if needed, which takes minutes once.
    ///
    /// # Errors
    /// When Python or Feast's packages cannot be installed.
    pub fn install() -> Result<Self, Missing> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        python::environment(&format!("feast-{VERSION}"), &[&format!("feast[redis]=={VERSION}")])?;
        Self::find().ok_or_else(|| {
            Missing::new("feast", "the environment has no program of that name", "remove it and run again")
        })
    }

    /// Returns the path of its Python.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.bin.join("python")
    }

    /// Returns the path of its `feast` command.
    #[must_use]
    pub fn feast(&self) -> PathBuf {
        self.bin.join("feast")
    }

    /// Returns a command in this environment: its programs come first on the search path, and Feast's telemetry is off.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&path));
        if let Ok(joined) = std::env::join_paths(paths) {
            command.env("PATH", joined);
        }
        command.env("FEAST_USAGE", "False").env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command
    }

    fn at(bin: &Path) -> Option<Self> {
        let environment = Self { bin: bin.to_owned() };
        (environment.python().is_file() && environment.feast().is_file()).then_some(environment)
    }
}

fn root() -> PathBuf {
    cache::path(&format!("feast-{VERSION}"))
}
