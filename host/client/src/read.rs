//! The call that reads features.

use crate::{Client, Error, Read, ReadAnswer, call::Call};
use http::Method;

impl Client {
    /// Reads features. Retries if the node is busy, cannot be reached, or does not respond.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(&self, read: &Read) -> Result<ReadAnswer, Error> {
        let call = Call::new(Method::POST, "/v1/read".to_owned()).json(read)?.idempotent();
        self.send(call).await?.json()
    }
}
