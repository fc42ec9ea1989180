//! The state of a node.

use crate::{
    modules::ModuleInfo,
    names::{Service, Source},
};
use littoral_model::status::NodeStatus;
use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "NodeStatus"))]
pub struct Status {
    /// The state of the node.
    #[serde(flatten)]
    pub node: NodeStatus,
    /// The build.
    pub build: String,
    /// Whether the process is about to stop.
    pub draining: bool,
    /// Whether the node listens beyond loopback without protection, as `--insecure` allows.
    #[serde(default)]
    pub insecure: bool,
    /// Whether the door authenticates its clients.
    #[serde(default)]
    pub authenticates: bool,
    /// Whether the data is fresh.
    pub fresh: bool,
    /// Why the data is not fresh. Empty if it is.
    pub not_fresh_reason: String,
    /// Why the node does not accept writes. Empty if it does.
    pub not_writable_reason: String,
}

/// The answer of `GET /v1/ready` of a node that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ready {
    /// Always true.
    #[cfg_attr(feature = "schema", schemars(extend("const" = true)))]
    pub ready: bool,
    /// Whether the data is fresh.
    pub fresh: bool,
    /// Why the data is not fresh. Empty if it is.
    pub not_fresh_reason: String,
    /// Whether the node accepts writes.
    pub writable: bool,
    /// Why the node does not accept writes. Empty if it does.
    pub not_writable_reason: String,
}

/// The answer of `GET /v1/fresh` of a node whose data is fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fresh {
    /// Always true.
    #[cfg_attr(feature = "schema", schemars(extend("const" = true)))]
    pub fresh: bool,
    /// Upper bound of how far the data is behind the leader, in milliseconds.
    pub staleness_ms: Option<u64>,
}

/// The answer of `GET /v1/catalogue`, as of one moment. `V` is a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Catalogue"))]
pub struct Catalogue<V> {
    /// Counts the changes of the catalogue.
    pub generation: u64,
    /// Every view.
    pub views: Vec<V>,
    /// Every module.
    pub modules: Vec<ModuleInfo>,
    /// Every feature service.
    pub services: Vec<Service>,
    /// Every push source.
    pub push_sources: Vec<Source>,
}

/// The answer of `GET /v1/views`, by name. `V` is a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Views"))]
pub struct Views<V> {
    /// Every view.
    pub views: Vec<V>,
}

/// The answer to a view that was created or changed. `V` is a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ViewPut"))]
pub struct ViewPut<V> {
    /// The receipt.
    #[serde(flatten)]
    pub receipt: crate::ChangeReceipt,
    /// The view as the catalogue has it now.
    pub view: V,
}
