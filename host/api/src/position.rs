//! Positions as text, `incarnation:lsn`, as in headers. An object of the two is accepted too: earlier nodes wrote it.

use littoral_model::position::{Lsn, Position};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// The schema of a position as text.
#[cfg(feature = "schema")]
pub(crate) struct Text;

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PositionText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}:[0-9]+$" })
    }
}

pub(crate) fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(position)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Whole(Position),
    }
    match Form::deserialize(deserializer)? {
        Form::Whole(position) => Ok(position),
        Form::Text(text) => parse(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is not a position"))),
    }
}

fn parse(text: &str) -> Option<Position> {
    let (incarnation, lsn) = text.split_once(':')?;
    Some(Position { incarnation: incarnation.parse().ok()?, lsn: Lsn(lsn.parse().ok()?) })
}
