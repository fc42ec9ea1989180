//! Calls about detached tails.

use crate::{Client, Error, Tail, TailPage, address::escape, call::Call};
use http::Method;
use littoral_api::tails::Tails;
use littoral_model::tail::TailMerged;

impl Client {
    /// Returns the detached tails that a node keeps, the oldest first.
    ///
    /// # Errors
    /// [`Error`], also if the node is neither a member of a region's log nor an edge with a data directory.
    pub async fn tails(&self) -> Result<Vec<Tail>, Error> {
        let all: Tails = self.send(Call::get("/v1/tails")).await?.json()?;
        Ok(all.tails)
    }

    /// Returns the rows and deletions of a tail from its record `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error`], also if the node keeps no tail of that name.
    pub async fn tail(&self, name: &str, from: u64, limit: usize) -> Result<TailPage, Error> {
        self.send(Call::get(format!("/v1/tails/{}?from={from}&limit={limit}", escape(name)))).await?.json()
    }

    /// Appends the writes of a tail to the region's log, under their old versions. The tail is then dropped, unless the
    /// catalogue lacks a view of its rows.
    ///
    /// # Errors
    /// [`Error`], also if the region has no leader now. The tail is then kept.
    pub async fn merge_tail(&self, name: &str) -> Result<TailMerged, Error> {
        self.send(Call::new(Method::POST, format!("/v1/tails/{}/merge", escape(name)))).await?.json()
    }

    /// Drops a tail and returns it.
    ///
    /// # Errors
    /// [`Error`], also if the node keeps no tail of that name.
    pub async fn drop_tail(&self, name: &str) -> Result<Tail, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/tails/{}", escape(name)))).await?.json()
    }
}
