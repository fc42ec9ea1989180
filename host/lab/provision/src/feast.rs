//! A Python environment with Feast, to read, write and push like Feast's users.

use crate::{
    apt, cache,
    missing::{Missing, say},
};
use std::{
    fs,
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
        let _one_at_a_time = cache::lock("feast")?;
        // Another process may have created it in the meantime.
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let root = root();
        say(format_args!(
            "creating a Python environment with feast {VERSION} in {} (takes minutes, once)",
            root.display()
        ));
        make(&root)?;
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

fn make(root: &Path) -> Result<(), Missing> {
    let python = python()?;
    let no_write = |error: std::io::Error| Missing::io(format_args!("a writable {}", root.display()), &error);
    if root.exists() {
        fs::remove_dir_all(root).map_err(no_write)?;
    }
    let venv = |python: &Path| run(Command::new(python).args(["-m", "venv"]).arg(root));
    if venv(&python).is_err() {
        // In Debian the module is a package of its own.
        apt::install("python3-venv")?;
        venv(&python).map_err(|why| Missing::new("a Python environment", why, "install python3-venv"))?;
    }
    let mut pip = Command::new(root.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", &format!("feast[redis]=={VERSION}")]);
    run(&mut pip).map_err(|why| {
        Missing::new(format_args!("feast {VERSION}"), why, "make sure that pip can reach a package index")
    })?;
    fs::write(root.join("complete"), VERSION).map_err(no_write)
}

fn python() -> Result<PathBuf, Missing> {
    let python = apt::program("python3", "python3")?;
    let recent = "import sys; sys.exit(sys.version_info < (3, 10))";
    run(Command::new(&python).args(["-c", recent])).map_err(|_| {
        Missing::new("Python 3.10", format_args!("{} is older", python.display()), "install a newer one")
    })?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let last: Vec<_> = printed.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    Err(last.into_iter().rev().collect::<Vec<_>>().join(" / "))
}
