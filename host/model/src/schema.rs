//! JSON schemas of the types that write themselves as text.

use crate::{position::Incarnation, region::Region, write::WriteConcern};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! text {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(Region, "Region", {
    "type": "string",
    "description": "The name of a region. Empty for none.",
    "maxLength": 16,
});
text!(Incarnation, "Incarnation", {
    "type": "string",
    "description": "Identifies one life of a log, as 16 hexadecimal digits. That of its first life is the name of the log.",
    "pattern": "^[0-9a-f]{16}$",
});
text!(WriteConcern, "WriteConcern", {
    "type": "string",
    "description": "How durable a write is: `local` in the leader's own log, `quorum` at a majority of the region's members, \
                    `regions=N` in the logs of at least N other regions.",
    "pattern": "^(local|quorum|regions=[0-9]+)$",
});
