//! Detached tails: what a member of a region's log had alone and had to give up, or what an edge held that its leader's log has lost.

use crate::{Client, Error, address::escape, call::Call};
use http::Method;
use littoral_model::tail::TailMerged;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A detached tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Its name.
    pub name: String,
    /// The log that it is of, as 16 hexadecimal digits.
    pub incarnation: String,
    /// The epoch of its last record.
    pub epoch: u64,
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    /// Bytes of its records.
    pub bytes: u64,
}

/// A row or a deletion of a detached tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TailRecord {
    /// The number that the record had.
    pub lsn: u64,
    /// The view; `None` when no view has its number any more.
    pub view: Option<String>,
    /// The entity key, by join key.
    pub key: Map<String, Value>,
    /// Whether the row was deleted.
    pub deleted: bool,
    /// Where it was taken.
    pub region: String,
    /// The hybrid logical clock's reading.
    #[serde(with = "crate::whole")]
    pub hlc: u64,
    /// When it was taken, in milliseconds since 1970.
    pub written_at_ms: i64,
    /// When its event happened.
    pub event_timestamp: String,
    /// Its values by feature; `None` for a deletion, and when the view is not known any more.
    pub values: Option<Map<String, Value>>,
}

/// A part of a detached tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TailPage {
    /// The tail.
    pub tail: Tail,
    /// Its rows and deletions, in order.
    pub records: Vec<TailRecord>,
    /// The record to go on from; `None` when there are no more.
    pub next: Option<u64>,
}

impl Client {
    /// The detached tails that a node keeps, the oldest first.
    ///
    /// # Errors
    /// [`Error`], also when the node is neither a member of a region's log nor an edge with a data directory.
    pub async fn tails(&self) -> Result<Vec<Tail>, Error> {
        #[derive(Deserialize)]
        struct Wire {
            tails: Vec<Tail>,
        }
        let wire: Wire = self.send(Call::get("/v1/tails")).await?.json()?;
        Ok(wire.tails)
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
