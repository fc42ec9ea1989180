//! The call that shows a router's doors.

use crate::{Client, Error, Routes, call::Call};

impl Client {
    /// Returns the doors that a router sends requests to, with their state.
    ///
    /// # Errors
    /// [`Error`], also if the node is not a router.
    pub async fn routes(&self) -> Result<Routes, Error> {
        self.send(Call::get("/router/v1/status")).await?.json()
    }
}
