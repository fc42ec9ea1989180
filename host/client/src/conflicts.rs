//! Calls about conflicts between regions.

use crate::{Client, Conflicts, Error, RowsReceipt, address::escape, call::Call};
use http::Method;

impl Client {
    /// The newest conflicts that a leader remembers.
    ///
    /// # Errors
    /// [`Error`], also when the node is no leader.
    pub async fn conflicts(&self, limit: usize) -> Result<Conflicts, Error> {
        self.send(Call::get(format!("/v1/conflicts?limit={limit}"))).await?.json()
    }

    /// Writes the value that lost again, so that it wins.
    ///
    /// # Errors
    /// [`Error`], also when no such conflict is known.
    pub async fn replay_conflict(&self, id: &str) -> Result<RowsReceipt, Error> {
        self.send(Call::new(Method::POST, format!("/v1/conflicts/{}/replay", escape(id)))).await?.json()
    }
}
