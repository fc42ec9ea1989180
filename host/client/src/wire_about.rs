//! What is said about a definition, as the API writes it.

use littoral_model::details::About;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Members of a definition's object; those that say nothing are left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct WireAbout {
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
}

impl From<About> for WireAbout {
    fn from(About { description, tags, owner }: About) -> Self {
        Self { description, tags, owner }
    }
}

impl From<WireAbout> for About {
    fn from(WireAbout { description, tags, owner }: WireAbout) -> Self {
        Self { description, tags, owner }
    }
}
