//! Calls about detached tails.

use crate::{Client, Error, Tail, TailPage, address::escape, call::Call};
use http::Method;
use littoral_api::tails::Tails;
use littoral_model::tail::TailMerged;

impl Client {
    /// The detached tails that a node keeps, the oldest first.
    ///
    /// # Errors
    /// [`Error`], also when the node is neither a member of a region's log nor an edge with a data directory.
    pub async fn tails(&self) -> Result<Vec<Tail>, Error> {
        let all: Tails = self.send(Call::get("/v1/tails")).await?.json()?;
        Ok(all.tails)
    }

    /// Rows and deletions of a tail from its record `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error`], also when the node keeps no tail of that name.
    pub async fn tail(&self, name: &str, from: u64, limit: usize) -> Result<TailPage, Error> {
        self.send(Call::get(format!("/v1/tails/{}?from={from}&limit={limit}", escape(name)))).await?.json()
    }

    /// Has a tail's writes taken into the region's log, under their old versions. The tail is dropped
    /// then, unless the catalogue lacks a view of its rows.
    ///
    /// # Errors
    /// [`Error`], also when nobody leads now; the tail is kept.
    pub async fn merge_tail(&self, name: &str) -> Result<TailMerged, Error> {
        self.send(Call::new(Method::POST, format!("/v1/tails/{}/merge", escape(name)))).await?.json()
    }

    /// Forgets a tail. Returns what was dropped.
    ///
    /// # Errors
    /// [`Error`], also when the node keeps no tail of that name.
    pub async fn drop_tail(&self, name: &str) -> Result<Tail, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/tails/{}", escape(name)))).await?.json()
    }
}
