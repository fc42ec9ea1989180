//! Push sources.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use http::Method;
use littoral_model::service::PushSource;
use serde::{Deserialize, Serialize};

/// A push source without its name, which stands in the path.
#[derive(Deserialize, Serialize)]
struct Body {
    views: Vec<String>,
}

impl Client {
    /// Every push source, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn push_sources(&self) -> Result<Vec<PushSource>, Error> {
        #[derive(Deserialize)]
        struct All {
            push_sources: Vec<PushSource>,
        }
        let all: All = self.send(Call::get("/v1/push-sources")).await?.json()?;
        Ok(all.push_sources)
    }

    /// The push source of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn push_source(&self, name: &str) -> Result<PushSource, Error> {
        let body: Body = self.send(Call::get(format!("/v1/push-sources/{}", escape(name)))).await?.json()?;
        Ok(PushSource { name: name.to_owned(), views: body.views })
    }

    /// Makes or replaces a push source.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when it cannot be taken.
    pub async fn put_push_source(&self, push_source: &PushSource) -> Result<ChangeReceipt, Error> {
        let body = Body { views: push_source.views.clone() };
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
