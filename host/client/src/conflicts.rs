//! Calls about conflicts between regions.

use crate::{Client, Conflicts, Error, RowsReceipt, address::escape, call::Call};
use http::Method;

impl Client {
    /// Returns the newest conflicts in a leader's ledger.
    ///
    /// # Errors
    /// [`Error`], also if the node is not a leader.
    pub async fn conflicts(&self, limit: usize) -> Result<Conflicts, Error> {
        self.send(Call::get(format!("/v1/conflicts?limit={limit}"))).await?.json()
    }

    /// Writes the lost value of a conflict again, so that it wins.
    ///
    /// # Errors
    /// [`Error`], also if there is no such conflict.
    pub async fn replay_conflict(&self, id: &str) -> Result<RowsReceipt, Error> {
        self.send(Call::new(Method::POST, format!("/v1/conflicts/{}/replay", escape(id)))).await?.json()
    }
}
