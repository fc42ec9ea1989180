//! Writes: what the headers of a request demand, and the receipt.

use crate::{access, failure::Failure, project::Rate, state::State};
use http::{HeaderMap, HeaderName, HeaderValue};
use littoral_api::{
    RowsReceipt, code,
    headers::{CONCERN, IDEMPOTENCY_KEY, OUTRANKED, PART, WAIT_MS},
    receipt::{Outranked, RowPlace},
};
use littoral_model::write::{IDEMPOTENCY_KEY_LEN_MAX, RowBatch, WriteConcern, WriteReceipt, WriteRequest};
use std::time::Instant;

/// Returns the idempotency key of a request.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if key.len() <= IDEMPOTENCY_KEY_LEN_MAX && !key.is_empty() => Ok(Some(key.to_owned())),
        _ => {
            let message = format!("idempotency-key takes 1 to {IDEMPOTENCY_KEY_LEN_MAX} characters of plain text");
            Err(Failure::bad_request(code::INVALID_IDEMPOTENCY_KEY, message))
        }
    }
}

/// Creates the write of these rows that the headers of a request demand.
pub(crate) fn request(rows: RowBatch, headers: &HeaderMap) -> Result<WriteRequest, Failure> {
    let idempotency_key = idempotency_key(headers)?;
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let concern = text(CONCERN).map_or(Ok(WriteConcern::Local), str::parse);
    let concern =
        concern.map_err(|error| Failure::bad_request(code::INVALID_CONCERN, format!("{CONCERN}: {error}")))?;
    let wait = text(WAIT_MS).map_or(Ok(0), |ms| ms.parse::<u64>().map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)));
    let concern_wait_ms = wait.map_err(|_| {
        Failure::bad_request(code::INVALID_WAIT, format!("{WAIT_MS} takes a whole number of milliseconds"))
    })?;
    let part = text(PART).map(str::parse).transpose();
    let part = part.map_err(|error| Failure::bad_request(code::INVALID_PART, format!("{PART}: {error}")))?;
    Ok(WriteRequest { rows, idempotency_key, concern, concern_wait_ms, part })
}

/// Writes rows that the client may write, within the quotas of the project. An error names an invalid row by its place
/// in the request.
pub(crate) async fn write(state: &State, mut request: WriteRequest, layout: &Layout) -> Result<WriteReceipt, Failure> {
    access::require_rows(&state.node.catalogue(), &request.rows)?;
    request.idempotency_key = request.idempotency_key.map(|key| state.project.qualify_key(key));
    state.spend(Rate::RowsWritten, request.rows.len() as u64, Instant::now())?;
    state.node.write(request).await.map_err(|error| state.rejected(error, "stored").placed(layout))
}

/// Sets the headers of an answer: the concern that was reached, and how many rows changed nothing.
pub(crate) fn insert_reached(headers: &mut HeaderMap, receipt: &WriteReceipt) {
    insert_outranked(headers, receipt);
    if let Ok(value) = HeaderValue::try_from(receipt.concern.to_string()) {
        headers.insert(CONCERN, value);
    }
}

/// The layout of a request: the number of rows and of deletions of each of its writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout(Vec<(usize, usize)>);

impl Layout {
    /// Creates the layout of a request of rows only.
    pub(crate) fn rows(rows: usize) -> Self {
        Self(vec![(rows, 0)])
    }

    /// Adds a write.
    pub(crate) fn add(&mut self, rows: usize, deletes: usize) {
        self.0.push((rows, deletes));
    }

    /// Returns the number of rows and deletions.
    fn len(&self) -> usize {
        self.0.iter().map(|(rows, deletes)| rows + deletes).sum()
    }

    /// Returns the place of a row in the request.
    pub(crate) fn place(&self, row: u32) -> RowPlace {
        let mut at = row as usize;
        for (write, (rows, deletes)) in self.0.iter().enumerate() {
            if at >= rows + deletes {
                at -= rows + deletes;
                continue;
            }
            let (row, delete) = if at < *rows { (Some(at as u64), None) } else { (None, Some((at - rows) as u64)) };
            return RowPlace { row, delete, write: (self.0.len() > 1).then_some(write as u64) };
        }
        RowPlace { row: Some(row.into()), ..RowPlace::default() }
    }
}

/// Sets the header that counts the rows that changed nothing, if there are any.
fn insert_outranked(headers: &mut HeaderMap, receipt: &WriteReceipt) {
    if !receipt.outranked.is_none() {
        headers.insert(OUTRANKED, HeaderValue::from(receipt.outranked.count));
    }
}

/// Returns the receipt of a write.
pub(crate) fn rows(receipt: &WriteReceipt, layout: &Layout) -> RowsReceipt {
    let outranked = &receipt.outranked;
    RowsReceipt {
        first: receipt.first,
        position: receipt.position,
        token: receipt.token.to_string(),
        rows: layout.len() as u64,
        concern: receipt.concern,
        duplicate: receipt.duplicate,
        outranked: Outranked {
            count: outranked.count,
            rows: outranked.rows.iter().map(|row| layout.place(*row)).collect(),
        },
    }
}
