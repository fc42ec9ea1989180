//! Feature services and push sources: names that stand for other names.

use serde::{Deserialize, Serialize};

/// A part of a feature service: some features of one view or module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projection {
    /// The view or module.
    pub view: String,
    /// The name that full feature names use in the view's place.
    pub alias: Option<String>,
    /// The features, in order.
    pub features: Vec<String>,
    /// Join keys that requests give under another name: (the view's join key, the request's).
    #[serde(default)]
    pub join_key_map: Vec<(String, String)>,
}

/// A named set of features for one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureService {
    /// Its name.
    pub name: String,
    /// Its parts, in order.
    pub projections: Vec<Projection>,
}

/// A named door for writes into one or more views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSource {
    /// Its name.
    pub name: String,
    /// The views that a push reaches.
    pub views: Vec<String>,
}
