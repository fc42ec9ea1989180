//! Feast's read, as a Feast client sends it.

use crate::{Client, Error, FeastAnswer, Read, call::Call};
use http::Method;
use littoral_api::headers;
use std::collections::BTreeMap;

impl Client {
    /// Reads through Feast's door. Parameters are sent among the entities, as in Feast, and the demand is left out.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_online_features(&self, read: &Read) -> Result<FeastAnswer, Error> {
        let mut entities = read.entities.clone();
        entities.extend(read.params.clone());
        let body = Read { entities, params: BTreeMap::new(), demand: None, ..read.clone() };
        let call = Call::new(Method::POST, "/get-online-features".to_owned()).json(&body)?.idempotent();
        let answer = self.send(call).await?;
        let mut feast: FeastAnswer = answer.json()?;
        let ours = answer.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with(headers::PREFIX));
        feast.freshness = ours.filter_map(|name| Some((name.to_owned(), answer.header(name)?.to_owned()))).collect();
        Ok(feast)
    }
}
