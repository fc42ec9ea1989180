//! The deliberate differences from Feast, each with its reason. `tests/fixtures/feast/differences.toml` lists them and
//! explains its terms.

use crate::golden::fixtures;
use serde::Deserialize;

/// Our answer to a recorded request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "expect", rename_all = "snake_case")]
pub enum Expected {
    /// A client's mistake, answered with 400 or 422, and with Feast's class where there is one.
    ClientError {
        /// The class of `feast.errors`.
        class: Option<String>,
    },
    /// Feast's answer, but the values that `values` selects are null and have this status.
    Status {
        /// The status that we give.
        status: String,
        /// The values.
        values: Picked,
        /// The numbers that represent null in `null_also_column`.
        #[serde(default)]
        null_also: Vec<i64>,
        /// The column in which Feast replaces null by a number.
        null_also_column: Option<String>,
    },
    /// The recorded answer to another exchange.
    SameAs {
        /// Its name.
        other: String,
    },
    /// 404: this path does not exist here.
    UnknownPath,
}

/// The values of an answer that have another status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picked {
    /// All values.
    All,
    /// The null values.
    Null,
}

/// A recorded exchange that is answered differently.
#[derive(Clone, Debug, Deserialize)]
pub struct Difference {
    /// The exchange.
    pub name: String,
    /// Our answer.
    #[serde(flatten)]
    pub expected: Expected,
    /// The reason.
    pub reason: String,
}

#[derive(Deserialize)]
struct File {
    difference: Vec<Difference>,
}

/// Returns all differences.
///
/// # Errors
/// The problem with the file as text.
pub fn all() -> Result<Vec<Difference>, String> {
    let path = fixtures().join("differences.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file.difference)
}
