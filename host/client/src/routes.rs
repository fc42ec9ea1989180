//! The call that shows a router's doors.

use crate::{Client, Error, Routes, call::Call};

impl Client {
    /// What a router knows of the doors that it sends requests to.
    ///
    /// # Errors
    /// [`Error`], also when the client's address is no router's.
    pub async fn routes(&self) -> Result<Routes, Error> {
        self.send(Call::get("/router/v1/status")).await?.json()
    }
}
