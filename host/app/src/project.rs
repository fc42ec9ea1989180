//! Where the project's own files are: the sample, the example configuration, the modules' sources.

use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// A file that is nowhere but at the project's root.
const LANDMARK: &str = "edge-config/feature-views.toml";

/// The project's root: the nearest directory above the working directory, or where this executable was built.
///
/// # Errors
/// When neither has the project.
pub fn root() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().unwrap_or_default();
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = here.ancestors().chain([built.as_path()]).find(|dir| dir.join(LANDMARK).is_file());
    let found = found.ok_or_else(|| {
        Failure::usage("this needs the project's files (sample, modules); run it inside a checkout of the project")
    })?;
    found.canonicalize().map_err(|error| Failure::usage(format!("{}: {error}", found.display())))
}
