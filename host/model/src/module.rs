//! Modules: what an uploaded WebAssembly component declares, and its releases.

use crate::value::ValueType;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// SHA-256 of a component's bytes: the content address of a module release. Written as 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModuleDigest(pub [u8; 32]);

impl ModuleDigest {
    /// Computes the digest of these bytes.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        Self(Sha256::digest(component).into())
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ModuleDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(InvalidDigest);
        }
        for (byte, pair) in digest.iter_mut().zip(0..) {
            *byte = u8::from_str_radix(&text[2 * pair..2 * pair + 2], 16).map_err(|_| InvalidDigest)?;
        }
        Ok(Self(digest))
    }
}

/// The error for a text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a module digest is 64 hexadecimal digits")]
pub struct InvalidDigest;

/// A named, typed column that a module receives or returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ModuleField"))]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
}

/// A feature that a module reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ModuleInput"))]
pub struct Input {
    /// The view.
    pub view: String,
    /// The feature within it.
    pub feature: String,
    /// The type that the module expects.
    pub value_type: ValueType,
    /// Join keys that have another name in the request: (the view's join key, the request's). This
    /// lets a module read one view in two roles, for example an airport as origin and as
    /// destination.
    #[serde(default)]
    pub join_key_map: Vec<(String, String)>,
}

/// What a module declares: everything that it reads and returns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Manifest"))]
pub struct ModuleManifest {
    /// Features that arrive as input columns, in order.
    pub inputs: Vec<Input>,
    /// Request parameters that arrive as columns, in order (Feast's request data).
    pub params: Vec<Field>,
    /// Columns that the module returns, in order.
    pub outputs: Vec<Field>,
    /// Views that `lookup` may read.
    pub lookups: Vec<String>,
    /// Whether each row's outputs depend only on that row, so that a host may batch rows of
    /// several requests.
    #[serde(default)]
    pub row_wise: bool,
}

/// A release of a module as the catalogue holds it. To clients it looks like an on-demand feature
/// view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRelease {
    /// The name that feature references use; unique among views and modules.
    pub name: String,
    /// The release name, such as `1.0.0`; free text without an order.
    pub version: String,
    /// The component's content address.
    pub digest: ModuleDigest,
    /// The component's size in bytes.
    pub size: u64,
    /// What the component declares.
    pub manifest: ModuleManifest,
}
