//! Python environments with packages from PyPI.

use crate::{
    apt, cache,
    missing::{Missing, say},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Returns the directory with the programs of an environment that has these packages. Creates the environment if
/// needed, which takes from seconds to minutes, once per `name`.
///
/// # Errors
/// When Python or the packages cannot be installed.
pub fn environment(name: &str, packages: &[&str]) -> Result<PathBuf, Missing> {
    let root = cache::path(name);
    let _one_at_a_time = cache::lock(name)?;
    if !root.join("complete").is_file() {
        say(format_args!("creating a Python environment with {} in {} (once)", packages.join(", "), root.display()));
        make(&root, packages)?;
    }
    Ok(root.join("bin"))
}

fn make(root: &Path, packages: &[&str]) -> Result<(), Missing> {
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
    pip.args(["-m", "pip", "install", "--quiet", "--no-input"]).args(packages);
    run(&mut pip)
        .map_err(|why| Missing::new(packages.join(", "), why, "make sure that pip can reach a package index"))?;
    fs::write(root.join("complete"), packages.join("\n")).map_err(no_write)
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
