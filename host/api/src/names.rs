//! Feature services and push sources.

use littoral_model::{
    details::{PushSourceDefinition, ServiceDefinition},
    document::AboutDocument,
    service::{FeatureService, Projection, PushSource},
};
use serde::{Deserialize, Serialize};

/// The definition of a feature service without its name, which is in the path.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceBody {
    /// Its projections, in order.
    pub projections: Vec<Projection>,
    /// Description, tags and owner.
    #[serde(flatten)]
    pub about: AboutDocument,
}

/// A feature service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Service {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its definition.
    #[serde(flatten)]
    pub body: ServiceBody,
}

/// The answer of `GET /v1/services`, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Services {
    /// Every feature service.
    pub services: Vec<Service>,
}

/// The definition of a push source without its name, which is in the path.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PushSourceBody {
    /// The views that a push writes.
    pub views: Vec<String>,
    /// Description, tags and owner.
    #[serde(flatten)]
    pub about: AboutDocument,
}

/// A push source.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PushSource"))]
pub struct Source {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its definition.
    #[serde(flatten)]
    pub body: PushSourceBody,
}

/// The answer of `GET /v1/push-sources`, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PushSources {
    /// Every push source.
    pub push_sources: Vec<Source>,
}

impl From<ServiceDefinition> for Service {
    fn from(ServiceDefinition { service, about }: ServiceDefinition) -> Self {
        let FeatureService { name, projections } = service;
        Self { name, body: ServiceBody { projections, about: about.into() } }
    }
}

impl From<Service> for ServiceDefinition {
    fn from(Service { name, body: ServiceBody { projections, about } }: Service) -> Self {
        Self { service: FeatureService { name, projections }, about: about.into() }
    }
}

impl From<PushSourceDefinition> for Source {
    fn from(PushSourceDefinition { push_source, about }: PushSourceDefinition) -> Self {
        let PushSource { name, views } = push_source;
        Self { name, body: PushSourceBody { views, about: about.into() } }
    }
}

impl From<Source> for PushSourceDefinition {
    fn from(Source { name, body: PushSourceBody { views, about } }: Source) -> Self {
        Self { push_source: PushSource { name, views }, about: about.into() }
    }
}
