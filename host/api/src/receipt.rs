//! Receipts: the answers to writes and changes of the catalogue.

use crate::position;
use littoral_model::{
    position::{Lsn, Position},
    write::{WriteConcern, WriteReceipt},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The receipt of a write of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RowsReceipt {
    /// The write's first record.
    #[serde(default)]
    pub first: Lsn,
    /// The position of the end of the write in the log.
    #[serde(with = "position")]
    #[cfg_attr(feature = "schema", schemars(with = "position::Text"))]
    pub position: Position,
    /// The freshness token. A read that demands it includes the write.
    pub token: String,
    /// The number of rows in the write.
    #[serde(default)]
    pub rows: u64,
    /// The concern that was reached.
    #[serde(default)]
    pub concern: WriteConcern,
    /// Whether this is the receipt of an earlier write with the same idempotency key.
    #[serde(default)]
    pub duplicate: bool,
    /// Its rows that changed nothing.
    #[serde(default)]
    pub outranked: Outranked,
}

/// The rows of a write that changed nothing because the replica holds newer ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outranked {
    /// The number of these rows.
    pub count: u64,
    /// The places of the first of them in the request.
    #[serde(default)]
    pub rows: Vec<RowPlace>,
}

/// The place of a row in the request that wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RowPlace {
    /// Which of the deletions, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<u64>,
    /// Which of the rows, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Which of the writes, if the request writes several views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<u64>,
}

impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(write) = self.write {
            write!(f, "writes[{write}], ")?;
        }
        match self.delete {
            Some(delete) => write!(f, "delete {delete}"),
            None => write!(f, "row {}", self.row.unwrap_or_default()),
        }
    }
}

/// The receipt of a change of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeReceipt {
    /// The position of the change in the log.
    #[serde(with = "position")]
    #[cfg_attr(feature = "schema", schemars(with = "position::Text"))]
    pub position: Position,
    /// The freshness token. A read that demands it includes the change.
    pub token: String,
}

impl From<&WriteReceipt> for ChangeReceipt {
    fn from(receipt: &WriteReceipt) -> Self {
        Self { position: receipt.position, token: receipt.token.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::position::Incarnation;

    #[test]
    fn positions_read_as_text_and_as_objects() {
        let want =
            ChangeReceipt { position: Position { incarnation: Incarnation(255), lsn: Lsn(7) }, token: "t".into() };
        for text in [
            r#"{"position":"00000000000000ff:7","token":"t"}"#,
            r#"{"position":{"incarnation":255,"lsn":7},"token":"t"}"#,
        ] {
            assert_eq!(serde_json::from_str::<ChangeReceipt>(text).unwrap(), want);
        }
        assert!(serde_json::from_str::<ChangeReceipt>(r#"{"position":"x","token":"t"}"#).is_err());
    }
}
