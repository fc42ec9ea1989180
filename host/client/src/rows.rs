//! Calls that write, delete and list rows.

use crate::{Client, Error, RowPage, RowsReceipt, ViewRows, address::escape, call::Call};
use bytes::Bytes;
use http::Method;
use littoral_api::{
    headers,
    rows::{Rows, Writes},
};
use littoral_model::write::WriteConcern;

impl Client {
    /// Writes and deletes rows of one view. With an idempotency key the write is retried, which is safe then.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_rows(&self, rows: &ViewRows, idempotency_key: Option<&str>) -> Result<RowsReceipt, Error> {
        let call = Call::new(Method::POST, format!("/v1/views/{}/rows", escape(&rows.view)));
        let call = call.json(&Rows { rows: &rows.rows, deletes: &rows.deletes })?.idempotency_key(idempotency_key)?;
        self.send(self.durable(call)?).await?.json()
    }

    /// Writes and deletes rows of several views, all or none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn write_views(&self, writes: &[ViewRows], idempotency_key: Option<&str>) -> Result<RowsReceipt, Error> {
        let call = Call::new(Method::POST, "/v1/rows".to_owned()).json(&Writes { writes })?;
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

    /// Sets the write concern of this client.
    fn durable(&self, call: Call) -> Result<Call, Error> {
        let (concern, wait_ms) = (self.inner.config.concern, self.inner.config.concern_wait_ms);
        let call = match concern {
            WriteConcern::Local => call,
            concern => call.header(headers::CONCERN, &concern.to_string())?,
        };
        if wait_ms == 0 { Ok(call) } else { call.header(headers::WAIT_MS, &wait_ms.to_string()) }
    }

    /// Returns one page of the rows of a view that the node holds. The pages of a full view have all its rows.
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
