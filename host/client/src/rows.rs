//! Rows: written, deleted, and paged through.

use crate::{Client, Error, Object, RowsReceipt, address::escape, call::Call};
use bytes::Bytes;
use http::Method;
use littoral_model::write::WriteConcern;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row to write, as JSON has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowDocument {
    /// Join key -> value.
    pub key: Object,
    /// Feature -> value; what is left out is null.
    pub values: Object,
    /// When the event happened, as RFC 3339; the time of the write when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<String>,
}

/// A row to delete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowDelete {
    /// Join key -> value.
    pub key: Object,
    /// When the row ceased to be, as RFC 3339; the time of the write when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<String>,
}

/// Rows to write into one view, and rows to delete from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewRows {
    /// The view.
    pub view: String,
    /// Rows to write.
    pub rows: Vec<RowDocument>,
    /// Rows to delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<RowDelete>,
}

/// A row that a node holds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct HeldRow {
    /// Join key -> value.
    pub key: Object,
    /// Feature -> value.
    pub values: Object,
    /// When the event happened.
    pub event_timestamp: Value,
    /// The row's version, equal where the rows are the same write.
    #[serde(default)]
    pub version: Value,
    /// The record that wrote it.
    #[serde(default)]
    pub lsn: Value,
}

/// A page of the rows that a node holds, ordered by entity key.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<HeldRow>,
    /// Where the next page begins; `None` after the last.
    pub cursor: Option<String>,
}

impl Client {
    /// Writes and deletes rows of one view. With an idempotency key the write may be retried safely, and is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_rows(&self, rows: &ViewRows, idempotency_key: Option<&str>) -> Result<RowsReceipt, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            rows: &'a [RowDocument],
            #[serde(skip_serializing_if = "<[RowDelete]>::is_empty")]
            deletes: &'a [RowDelete],
        }
        let call = Call::new(Method::POST, format!("/v1/views/{}/rows", escape(&rows.view)));
        let call = call.json(&Body { rows: &rows.rows, deletes: &rows.deletes })?.idempotency_key(idempotency_key)?;
        self.send(self.durable(call)?).await?.json()
    }

    /// Writes and deletes rows of several views, all or none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_views(&self, writes: &[ViewRows], idempotency_key: Option<&str>) -> Result<RowsReceipt, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            writes: &'a [ViewRows],
        }
        let call = Call::new(Method::POST, "/v1/rows".to_owned()).json(&Body { writes })?;
        self.send(self.durable(call.idempotency_key(idempotency_key)?)?).await?.json()
    }

    /// Writes the rows of an Arrow IPC stream: columns are join keys, features and `event_timestamp`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_arrow(
        &self,
        view: &str,
        stream: Bytes,
        idempotency_key: Option<&str>,
    ) -> Result<RowsReceipt, Error> {
        let call = Call::new(Method::POST, format!("/v1/views/{}/rows", escape(view)))
            .content("application/vnd.apache.arrow.stream", stream)
            .idempotency_key(idempotency_key)?;
        self.send(self.durable(call)?).await?.json()
    }

    /// A write, as durable as this client wants it.
    fn durable(&self, call: Call) -> Result<Call, Error> {
        let (concern, wait_ms) = (self.inner.config.concern, self.inner.config.concern_wait_ms);
        let call = match concern {
            WriteConcern::Local => call,
            concern => call.header("littoral-concern", &concern.to_string())?,
        };
        if wait_ms == 0 { Ok(call) } else { call.header("littoral-wait-ms", &wait_ms.to_string()) }
    }

    /// One page of the rows of a view that the node holds: of a full view, all of them in the end.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn row_page(&self, view: &str, limit: usize, cursor: Option<&str>) -> Result<RowPage, Error> {
        let mut path = format!("/v1/views/{}/rows?limit={limit}", escape(view));
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(&escape(cursor));
        }
        self.send(Call::get(path)).await?.json()
    }
}
