//! Modules.

use crate::ChangeReceipt;
use littoral_model::module::{ModuleDigest, ModuleManifest, ModuleRelease};
use serde::{Deserialize, Deserializer, Serialize};

/// A module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Module"))]
pub struct ModuleInfo {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The release.
    #[serde(default)]
    pub release: String,
    /// The release under its former member name.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("deprecated" = true)))]
    pub version: String,
    /// The content address of the component, as 64 hexadecimal digits.
    #[serde(deserialize_with = "digest")]
    pub digest: String,
    /// The size of the component in bytes.
    #[serde(default)]
    pub size: u64,
    /// Its declared inputs, parameters and outputs.
    pub manifest: ModuleManifest,
}

/// The answer to an uploaded module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModulePut {
    /// The content address of the component, as 64 hexadecimal digits.
    #[serde(deserialize_with = "digest")]
    pub digest: String,
    /// Its declared inputs, parameters and outputs.
    pub manifest: ModuleManifest,
    /// The position of the release in the log.
    #[serde(flatten)]
    pub receipt: ChangeReceipt,
    /// The edges that can call it, at the end of the wait.
    #[serde(default)]
    pub edges: Edges,
}

/// The number of connected edges that can call a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Edges {
    /// The edges that can call it.
    pub ready: u64,
    /// All connected edges.
    pub of: u64,
}

/// The answer of `GET /v1/modules`, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Modules {
    /// Every module.
    pub modules: Vec<ModuleInfo>,
}

impl From<&ModuleRelease> for ModuleInfo {
    fn from(module: &ModuleRelease) -> Self {
        Self {
            name: module.name.clone(),
            release: module.version.clone(),
            version: module.version.clone(),
            digest: module.digest.to_string(),
            size: module.size,
            manifest: module.manifest.clone(),
        }
    }
}

/// Reads a digest as text or as bytes.
fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(ModuleDigest),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Text(text) => text,
        Form::Bytes(digest) => digest.to_string(),
    })
}
