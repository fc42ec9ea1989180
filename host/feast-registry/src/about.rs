//! Descriptions, tags and owners.

use littoral_model::details::About;
use std::collections::HashMap;

/// The description, tags and owner of a definition in Feast's registry.
pub(crate) fn about(description: &str, tags: &HashMap<String, String>, owner: &str) -> About {
    About {
        description: description.to_owned(),
        tags: tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        owner: owner.to_owned(),
    }
}
