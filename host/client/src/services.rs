//! Feature services.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_model::service::{FeatureService, Projection};
use serde::{Deserialize, Serialize};

/// A feature service without its name, which stands in the path.
#[derive(Deserialize, Serialize)]
struct Body {
    projections: Vec<Projection>,
}

impl Client {
    /// Every feature service, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn services(&self) -> Result<Vec<FeatureService>, Error> {
        #[derive(Deserialize)]
        struct All {
            services: Vec<FeatureService>,
        }
        let all: All = self.send(Call::get("/v1/services")).await?.json()?;
        Ok(all.services)
    }

    /// The feature service of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn service(&self, name: &str) -> Result<FeatureService, Error> {
        let body: Body = self.send(Call::get(format!("/v1/services/{}", escape(name)))).await?.json()?;
        Ok(FeatureService { name: name.to_owned(), projections: body.projections })
    }

    /// Makes or replaces a feature service.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when it cannot be taken.
    pub async fn put_service(&self, service: &FeatureService) -> Result<ChangeReceipt, Error> {
        let body = Body { projections: service.projections.clone() };
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
