//! Recorded exchanges.

use littoral_provision::cache;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, io, path::PathBuf};

/// One exchange with Feast's feature server.
#[derive(Clone, Debug, Deserialize)]
pub struct Golden {
    /// The name of its file, without extension. Writes precede the reads that see them.
    pub name: String,
    /// The request.
    pub request: Request,
    /// The response.
    pub response: Response,
}

/// A request.
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

/// A response.
#[derive(Clone, Debug, Deserialize)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The body, byte for byte.
    #[serde(default)]
    pub body_text: Option<String>,
}

impl Response {
    /// Returns the body as JSON; null if it is empty.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.body_text.as_deref().unwrap_or_default()).unwrap_or_default()
    }
}

/// Returns the directory of the recorded exchanges and their data.
#[must_use]
pub fn fixtures() -> PathBuf {
    cache::workspace().join("tests/fixtures/feast")
}

/// Returns all exchanges, in the order of their recording.
///
/// # Errors
/// If a file cannot be read or parsed.
pub fn all() -> io::Result<Vec<Golden>> {
    let mut files: Vec<_> = fs::read_dir(fixtures().join("golden"))?.collect::<io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    files.iter().map(|file| Ok(serde_json::from_slice(&fs::read(file.path())?)?)).collect()
}
