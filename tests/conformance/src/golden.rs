//! Recorded exchanges.

use littoral_provision::cache;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, io, path::PathBuf};

/// One exchange with Feast's feature server.
#[derive(Clone, Debug, Deserialize)]
pub struct Golden {
    /// Its file's name without extension. Writes come before the reads that see them.
    pub name: String,
    /// What was sent.
    pub request: Request,
    /// What came back.
    pub response: Response,
}

/// What was sent.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, byte for byte.
    #[serde(default)]
    pub body_text: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, Deserialize)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The body, byte for byte.
    #[serde(default)]
    pub body_text: Option<String>,
}

impl Response {
    /// The body as JSON; null when it is empty.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.body_text.as_deref().unwrap_or_default()).unwrap_or_default()
    }
}

/// Where the recorded exchanges and all that belongs to them lie.
#[must_use]
pub fn fixtures() -> PathBuf {
    cache::workspace().join("tests/fixtures/feast")
}

/// All exchanges, in the order in which they were recorded.
///
/// # Errors
/// When a file cannot be read or is none.
pub fn all() -> io::Result<Vec<Golden>> {
    let mut files: Vec<_> = fs::read_dir(fixtures().join("golden"))?.collect::<io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    files.iter().map(|file| Ok(serde_json::from_slice(&fs::read(file.path())?)?)).collect()
}
