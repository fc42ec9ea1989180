//! Push sources.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_model::{details::PushSourceDefinition, document::AboutDocument, service::PushSource};
use serde::{Deserialize, Serialize};

/// A push source without its name, which stands in the path.
#[derive(Deserialize, Serialize)]
struct Body {
    views: Vec<String>,
    #[serde(flatten)]
    about: AboutDocument,
}

/// A push source as the API lists it.
#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(flatten)]
    body: Body,
}

impl From<Listed> for PushSourceDefinition {
    fn from(Listed { name, body }: Listed) -> Self {
        Self { push_source: PushSource { name, views: body.views }, about: body.about.into() }
    }
}

impl Client {
    /// Every push source, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn push_sources(&self) -> Result<Vec<PushSourceDefinition>, Error> {
        #[derive(Deserialize)]
        struct All {
            push_sources: Vec<Listed>,
        }
        let all: All = self.send(Call::get("/v1/push-sources")).await?.json()?;
        Ok(all.push_sources.into_iter().map(PushSourceDefinition::from).collect())
    }

    /// The push source of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn push_source(&self, name: &str) -> Result<PushSourceDefinition, Error> {
        let body: Body = self.send(Call::get(format!("/v1/push-sources/{}", escape(name)))).await?.json()?;
        Ok(Listed { name: name.to_owned(), body }.into())
    }

    /// Makes or replaces a push source.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when it cannot be taken.
    pub async fn put_push_source(&self, definition: &PushSourceDefinition) -> Result<ChangeReceipt, Error> {
        let PushSourceDefinition { push_source, about } = definition;
        let body = Body { views: push_source.views.clone(), about: about.clone().into() };
        let path = format!("/v1/push-sources/{}", escape(&push_source.name));
        self.send(Call::new(Method::PUT, path).json(&body)?).await?.json()
    }

    /// Drops a push source.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_push_source(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/push-sources/{}", escape(name)))).await?.json()
    }
}
