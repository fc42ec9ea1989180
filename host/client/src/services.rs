//! Feature services.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_api::names::{Service, Services};
use littoral_model::details::ServiceDefinition;

impl Client {
    /// Returns every feature service, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn services(&self) -> Result<Vec<ServiceDefinition>, Error> {
        let all: Services = self.send(Call::get("/v1/services")).await?.json()?;
        Ok(all.services.into_iter().map(ServiceDefinition::from).collect())
    }

    /// Returns the feature service of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn service(&self, name: &str) -> Result<ServiceDefinition, Error> {
        let service: Service = self.send(Call::get(format!("/v1/services/{}", escape(name)))).await?.json()?;
        Ok(Service { name: name.to_owned(), ..service }.into())
    }

    /// Creates or replaces a feature service.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the definition.
    pub async fn put_service(&self, definition: &ServiceDefinition) -> Result<ChangeReceipt, Error> {
        let service = Service::from(definition.clone());
        let path = format!("/v1/services/{}", escape(&service.name));
        self.send(Call::new(Method::PUT, path).json(&service.body)?).await?.json()
    }

    /// Drops a feature service.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_service(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/services/{}", escape(name)))).await?.json()
    }
}
