//! Push sources.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_api::names::{PushSources, Source};
use littoral_model::details::PushSourceDefinition;

impl Client {
    /// Returns every push source, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn push_sources(&self) -> Result<Vec<PushSourceDefinition>, Error> {
        let all: PushSources = self.send(Call::get("/v1/push-sources")).await?.json()?;
        Ok(all.push_sources.into_iter().map(PushSourceDefinition::from).collect())
    }

    /// Returns the push source of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn push_source(&self, name: &str) -> Result<PushSourceDefinition, Error> {
        let push_source: Source = self.send(Call::get(format!("/v1/push-sources/{}", escape(name)))).await?.json()?;
        Ok(Source { name: name.to_owned(), ..push_source }.into())
    }

    /// Creates or replaces a push source.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the definition.
    pub async fn put_push_source(&self, definition: &PushSourceDefinition) -> Result<ChangeReceipt, Error> {
        let source = Source::from(definition.clone());
        let path = format!("/v1/push-sources/{}", escape(&source.name));
        self.send(Call::new(Method::PUT, path).json(&source.body)?).await?.json()
    }

    /// Drops a push source.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_push_source(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/push-sources/{}", escape(name)))).await?.json()
    }
}
