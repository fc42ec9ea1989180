//! Modules: what an uploaded WebAssembly component says of itself, and its releases.

use crate::value::ValueType;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// SHA-256 of a component's bytes: a module release's content address. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModuleDigest(pub [u8; 32]);

impl ModuleDigest {
    /// The address of these bytes.
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

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a module digest is 64 hexadecimal digits")]
pub struct InvalidDigest;

/// A named, typed column that a module takes or makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
}

/// A feature that a module reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The view.
    pub view: String,
    /// The feature within it.
    pub feature: String,
    /// The type that the module expects.
    pub value_type: ValueType,
    /// Join keys that the request gives under another name: (the view's join key, the request's). Lets one module
    /// read one view for two roles, as an airport that is once the origin and once the destination.
    #[serde(default)]
    pub join_key_map: Vec<(String, String)>,
}

/// What a module declares: everything that it reads and makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleManifest {
    /// Features that arrive as input columns, in order.
    pub inputs: Vec<Input>,
    /// Request parameters that arrive as columns, in order (Feast's request data).
    pub params: Vec<Field>,
    /// Columns that the module returns, in order.
    pub outputs: Vec<Field>,
    /// Views that `lookup` may read.
    pub lookups: Vec<String>,
    /// Whether each row's outputs hang on that row alone, so that a host may put rows of several requests into one batch.
    #[serde(default)]
    pub row_wise: bool,
}

/// A module under its name, as the catalogue holds it: looks like an on-demand feature view to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRelease {
    /// The name that feature references use, unique among views and modules.
    pub name: String,
    /// The release, such as `1.0.0`; free text that orders nothing.
    pub version: String,
    /// The component's content address.
    pub digest: ModuleDigest,
    /// The component's size in bytes.
    pub size: u64,
    /// What it declares.
    pub manifest: ModuleManifest,
}
