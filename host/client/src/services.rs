//! Feature services.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_model::{
    details::ServiceDefinition,
    document::AboutDocument,
    service::{FeatureService, Projection},
};
use serde::{Deserialize, Serialize};

/// A feature service without its name, which stands in the path.
#[derive(Deserialize, Serialize)]
struct Body {
    projections: Vec<Projection>,
    #[serde(flatten)]
    about: AboutDocument,
}

/// A feature service as the API lists it.
#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(flatten)]
    body: Body,
}

impl From<Listed> for ServiceDefinition {
    fn from(Listed { name, body }: Listed) -> Self {
        let service = FeatureService { name, projections: body.projections };
        Self { service, about: body.about.into() }
    }
}

impl Client {
    /// Every feature service, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn services(&self) -> Result<Vec<ServiceDefinition>, Error> {
        #[derive(Deserialize)]
        struct All {
            services: Vec<Listed>,
        }
        let all: All = self.send(Call::get("/v1/services")).await?.json()?;
        Ok(all.services.into_iter().map(ServiceDefinition::from).collect())
    }

    /// The feature service of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn service(&self, name: &str) -> Result<ServiceDefinition, Error> {
        let body: Body = self.send(Call::get(format!("/v1/services/{}", escape(name)))).await?.json()?;
        Ok(Listed { name: name.to_owned(), body }.into())
    }

    /// Makes or replaces a feature service.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when it cannot be taken.
    pub async fn put_service(&self, definition: &ServiceDefinition) -> Result<ChangeReceipt, Error> {
        let ServiceDefinition { service, about } = definition;
        let body = Body { projections: service.projections.clone(), about: about.clone().into() };
        let path = format!("/v1/services/{}", escape(&service.name));
        self.send(Call::new(Method::PUT, path).json(&body)?).await?.json()
    }

    /// Drops a feature service.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_service(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/services/{}", escape(name)))).await?.json()
    }
}
