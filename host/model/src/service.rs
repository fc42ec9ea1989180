//! Feature services and push sources: names for sets of other names.

use serde::{Deserialize, Serialize};

/// A projection in a feature service: some features of one view or module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Projection {
    /// The view or module.
    pub view: String,
    /// The name that replaces the view's name in full feature names.
    #[cfg_attr(feature = "schema", schemars(default, skip_serializing_if = "Option::is_none"))]
    pub alias: Option<String>,
    /// The features, in order.
    pub features: Vec<String>,
    /// Join keys that have another name in the request: (the view's join key, the request's).
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Vec::is_empty"))]
    pub join_key_map: Vec<(String, String)>,
}

/// A named set of features for one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureService {
    /// Its name.
    pub name: String,
    /// Its projections, in order.
    pub projections: Vec<Projection>,
}

/// A named target for writes into one or more views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSource {
    /// Its name.
    pub name: String,
    /// The views to which a push writes.
    pub views: Vec<String>,
}
