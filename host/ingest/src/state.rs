//! The state of a load between runs.

use crate::{Error, files::Input};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The name of the state file in a folder that is loaded.
pub(crate) const IN_A_FOLDER: &str = ".littoral-ingest.json";

/// The format of the state file.
pub(crate) const VERSION: u32 = 1;

/// The state of a load between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// The fingerprint of the destination and the options: a run with another one starts over.
    pub(crate) fingerprint: String,
    /// How many rows are done, counted from the file's beginning, by [`crate::files::Input::state_key`].
    pub(crate) rows_done: BTreeMap<String, u64>,
    /// How many of these rows the node rejected, by the same key. States of older builds lack it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rows_refused: BTreeMap<String, u64>,
    /// Distinguishes the idempotency keys of a load that was started over from those of earlier runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) again: String,
    /// The freshness token of the last acknowledged batch: a log that has lost this batch has lost rows that count as
    /// done. `None` in states of older builds.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

impl State {
    /// Returns the state of a load that has done nothing.
    pub(crate) fn new(fingerprint: String) -> Self {
        Self { version: VERSION, fingerprint, ..Self::default() }
    }

    /// Returns the state of a load that sends everything, whatever earlier runs have sent. `mark` must be unique.
    pub(crate) fn anew(fingerprint: String, mark: u128) -> Self {
        Self { again: format!("{mark:x}"), ..Self::new(fingerprint) }
    }

    /// Returns the default path of the state of a load.
    pub(crate) fn default_path(path: &Path) -> PathBuf {
        if path.is_dir() {
            return path.join(IN_A_FOLDER);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".littoral-ingest.json");
        path.with_file_name(name)
    }

    /// Reads the state of an earlier run of the same load; returns a new one when there is none, or it belongs to
    /// another load.
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

    /// Returns how many done rows of a file the node rejected.
    pub(crate) fn rejected(&self, input: &Input) -> u64 {
        self.rows_refused.get(&input.state_key()).copied().unwrap_or(0)
    }

    /// Replaces the state file atomically.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let write = || -> std::io::Result<()> {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            // Another process may load the same file elsewhere, with the same state.
            name.push(format!(".tmp{}", std::process::id()));
            let beside = path.with_file_name(name);
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|error| Error::State { path: path.to_owned(), action: "write", reason: error.to_string() })
    }
}
