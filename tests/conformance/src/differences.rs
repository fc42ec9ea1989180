//! Where we answer differently from Feast on purpose, each with its reason: what `tests/fixtures/feast/differences.toml`
//! lists, which says what its words mean.

use crate::golden::fixtures;
use serde::Deserialize;

/// What we answer to a recorded request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "expect", rename_all = "snake_case")]
pub enum Expected {
    /// A client's mistake, told as one: 400 or 422, with Feast's class where there is one.
    ClientError {
        /// The class of `feast.errors`.
        class: Option<String>,
    },
    /// As Feast, but the values that `values` picks have this status and are null.
    Status {
        /// The status that we give.
        status: String,
        /// Which values.
        values: Picked,
        /// What stands for null in `null_also_column`.
        #[serde(default)]
        null_also: Vec<i64>,
        /// The column in which Feast makes a number of null.
        null_also_column: Option<String>,
    },
    /// What was recorded as the answer to another exchange.
    SameAs {
        /// Its name.
        other: String,
    },
    /// 404: there is no such path here.
    UnknownPath,
}

/// Which values of an answer have another status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picked {
    /// All of them.
    All,
    /// Those that are null.
    Null,
}

/// A recorded exchange that we answer otherwise.
#[derive(Clone, Debug, Deserialize)]
pub struct Difference {
    /// The exchange.
    pub name: String,
    /// What we do.
    #[serde(flatten)]
    pub expected: Expected,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
struct File {
    difference: Vec<Difference>,
}

/// All of them.
///
/// # Errors
/// What is wrong with the file, for people.
pub fn all() -> Result<Vec<Difference>, String> {
    let path = fixtures().join("differences.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file.difference)
}
