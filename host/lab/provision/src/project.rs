//! The project's own files: the flight sample, the example configuration, the sources of the modules.

use crate::missing::Missing;
use std::path::{Path, PathBuf};

/// Names the project's directory, where it is not found by itself.
pub const VARIABLE: &str = "LITTORAL_PROJECT";

/// A file that exists nowhere but at the project's root.
const LANDMARK: &str = "edge-config/feature-views.toml";

/// Returns the project's root: `$LITTORAL_PROJECT`, or else the nearest directory with its files at or above the
/// working directory, or at or above this executable.
///
/// # Errors
/// When there is none, with the places that were searched.
pub fn root() -> Result<PathBuf, Missing> {
    let what = "a checkout of the project";
    let is_root = |dir: &&Path| dir.join(LANDMARK).is_file();
    if let Some(named) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        let why = format_args!("{VARIABLE} is {}, where there is no {LANDMARK}", named.display());
        return match is_root(&named.as_path()) {
            true => Ok(named),
            false => Err(Missing::new(what, why, "set it to the directory that holds edge-config")),
        };
    }
    let here = std::env::current_dir().unwrap_or_default();
    let executable = std::env::current_exe().unwrap_or_default();
    let found = here.ancestors().chain(executable.ancestors()).find(is_root);
    found.map(Path::to_owned).ok_or_else(|| {
        let (here, executable) = (here.display(), executable.display());
        let why = format_args!("no directory at or above {here} or {executable} has {LANDMARK}");
        Missing::new(what, why, format_args!("run this inside a checkout, or set {VARIABLE} to one"))
    })
}

/// Returns the project's root, if it has all these files.
///
/// # Errors
/// As [`root`]; and when a file is missing, with the names of all that are.
pub fn with(files: &[&str]) -> Result<PathBuf, Missing> {
    let root = root()?;
    let missing: Vec<_> = files.iter().copied().filter(|file| !root.join(file).exists()).collect();
    if missing.is_empty() {
        return Ok(root);
    }
    let why = format_args!("{} lacks them", root.display());
    Err(Missing::new(missing.join(", "), why, format_args!("use a whole checkout, or set {VARIABLE} to one")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn missing_files_are_named() {
        let root = super::root().unwrap();
        assert_eq!(super::with(&["README.md", "edge-config"]).unwrap(), root);
        let error = super::with(&["README.md", "no/such.file"]).unwrap_err().to_string();
        assert!(error.starts_with("no/such.file is needed but missing"), "{error}");
    }
}
