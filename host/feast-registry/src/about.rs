//! Descriptions, tags and owners.

use littoral_model::details::About;
use std::collections::HashMap;

/// What Feast's registry says about something.
pub(crate) fn about(description: &str, tags: &HashMap<String, String>, owner: &str) -> About {
    About {
        description: description.to_owned(),
        tags: tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        owner: owner.to_owned(),
    }
}
