//! What a node answers to writes and changes.

use littoral_model::{
    position::{Lsn, Position},
    write::WriteConcern,
};
use serde::{Deserialize, Deserializer, de::Error as _};

/// What an acknowledged write of rows may rely on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RowsReceipt {
    /// The write's first record.
    #[serde(default)]
    pub first: Lsn,
    /// Where the write ends in the log.
    #[serde(deserialize_with = "position")]
    pub position: Position,
    /// The freshness token: a read that demands it sees the write.
    pub token: String,
    /// How many rows were written.
    #[serde(default)]
    pub rows: u64,
    /// The concern that was reached.
    #[serde(default)]
    pub concern: WriteConcern,
    /// Whether this answers a retry of a write that was taken before.
    #[serde(default)]
    pub duplicate: bool,
    /// Its rows that changed nothing.
    #[serde(default)]
    pub outranked: Outranked,
}

/// Rows of a write that changed nothing, as newer ones are held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Outranked {
    /// How many.
    pub count: u64,
    /// Where the first of them stand in the request: an object with `row` or `delete`, and `write` where several views are
    /// written.
    #[serde(default)]
    pub rows: Vec<serde_json::Value>,
}

/// What an acknowledged change of the catalogue may rely on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ChangeReceipt {
    /// Where the change stands in the log.
    #[serde(deserialize_with = "position")]
    pub position: Position,
    /// The freshness token: a read that demands it sees the change.
    pub token: String,
}

/// A position as text (`incarnation:lsn`, as in headers) or as an object of the two.
pub(crate) fn position<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Whole(Position),
    }
    match Form::deserialize(deserializer)? {
        Form::Whole(position) => Ok(position),
        Form::Text(text) => parse_position(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is no position"))),
    }
}

fn parse_position(text: &str) -> Option<Position> {
    let (incarnation, lsn) = text.split_once(':')?;
    Some(Position { incarnation: incarnation.parse().ok()?, lsn: Lsn(lsn.parse().ok()?) })
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
