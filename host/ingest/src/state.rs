//! What a load remembers between runs.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The file's name within a folder that is loaded.
pub(crate) const IN_A_FOLDER: &str = ".littoral-ingest.json";

/// The file's format.
const VERSION: u32 = 1;

/// What a load remembers between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// Where the rows went and how they were read: a run that differs in any of it begins anew.
    pub(crate) fingerprint: String,
    /// File name and digest -> how many of its first rows are done.
    pub(crate) rows_done: BTreeMap<String, u64>,
    /// What a load that was begun anew adds to its requests' idempotency keys, so that they are not taken for those of the runs
    /// before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) again: String,
    /// The freshness token of what went in last: a log that has lost it has lost rows that are done. None in states of older builds.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

impl State {
    /// A load that has done nothing.
    pub(crate) fn new(fingerprint: String) -> Self {
        Self { version: VERSION, fingerprint, ..Self::default() }
    }

    /// A load that sends everything, whatever earlier runs have sent. `mark` is another one for each.
    pub(crate) fn anew(fingerprint: String, mark: u128) -> Self {
        Self { again: format!("{mark:x}"), ..Self::new(fingerprint) }
    }

    /// Where the state of a load of `path` is kept unless the user says.
    pub(crate) fn default_path(path: &Path) -> PathBuf {
        if path.is_dir() {
            return path.join(IN_A_FOLDER);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".littoral-ingest.json");
        path.with_file_name(name)
    }

    /// The state of an earlier run of the same load; a fresh one when there is none or it was of another load.
    pub(crate) fn load(path: &Path, fingerprint: String) -> Result<Self, Error> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::new(fingerprint)),
            Err(error) => {
                return Err(Error::State { path: path.to_owned(), action: "read", reason: error.to_string() });
            }
        };
        let state: State = serde_json::from_slice(&bytes).map_err(|error| Error::State {
            path: path.to_owned(),
            action: "read",
            reason: format!("{error} (delete it to begin anew)"),
        })?;
        let same = state.version == VERSION && state.fingerprint == fingerprint;
        Ok(if same { state } else { Self::new(fingerprint) })
    }

    /// Puts the state in the place of the one before, whole or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let write = || -> std::io::Result<()> {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".tmp");
            let beside = path.with_file_name(name);
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|error| Error::State { path: path.to_owned(), action: "write", reason: error.to_string() })
    }
}
