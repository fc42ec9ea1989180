//! What a write is told.

use crate::failure::Failure;
use http::{HeaderMap, HeaderName, HeaderValue};
use littoral_model::write::{IDEMPOTENCY_KEY_LEN_MAX, RowBatch, WriteConcern, WriteReceipt, WriteRequest};
use serde_json::{Map, Value, json};

/// How durable a write must be; in its answer, how durable it is known to be.
pub(crate) const CONCERN: &str = "littoral-concern";
/// How many rows of a write changed nothing, as newer ones are held.
const OUTRANKED: &str = "littoral-outranked";
/// Whose part of the rows is written, where a view combines regions' parts.
const PART: &str = "littoral-part";
/// How long to wait for others, in milliseconds.
const WAIT_MS: &str = "littoral-wait-ms";

/// The request's idempotency key.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if key.len() <= IDEMPOTENCY_KEY_LEN_MAX && !key.is_empty() => Ok(Some(key.to_owned())),
        _ => {
            let message = format!("idempotency-key takes 1 to {IDEMPOTENCY_KEY_LEN_MAX} characters of plain text");
            Err(Failure::bad_request("invalid_idempotency_key", message))
        }
    }
}

/// A write of these rows as the request's headers want it.
pub(crate) fn request(rows: RowBatch, headers: &HeaderMap) -> Result<WriteRequest, Failure> {
    let idempotency_key = idempotency_key(headers)?;
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let concern = text(CONCERN).map_or(Ok(WriteConcern::Local), str::parse);
    let concern = concern.map_err(|error| Failure::bad_request("invalid_concern", format!("{CONCERN}: {error}")))?;
    let wait = text(WAIT_MS).map_or(Ok(0), |ms| ms.parse::<u64>().map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)));
    let concern_wait_ms = wait
        .map_err(|_| Failure::bad_request("invalid_wait", format!("{WAIT_MS} takes a whole number of milliseconds")))?;
    let part = text(PART).map(str::parse).transpose();
    let part = part.map_err(|error| Failure::bad_request("invalid_part", format!("{PART}: {error}")))?;
    Ok(WriteRequest { rows, idempotency_key, concern, concern_wait_ms, part })
}

/// Says in an answer's headers what was reached, and how many rows changed nothing.
pub(crate) fn insert_reached(headers: &mut HeaderMap, receipt: &WriteReceipt) {
    insert_outranked(headers, receipt);
    if let Ok(value) = HeaderValue::try_from(receipt.concern.to_string()) {
        headers.insert(HeaderName::from_static(CONCERN), value);
    }
}

/// A change's receipt, to which endpoints add their own.
pub(crate) fn change(receipt: &WriteReceipt) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("position".to_owned(), json!(receipt.position.to_string()));
    members.insert("token".to_owned(), json!(receipt.token.to_string()));
    members
}

/// Where a write's rows stand in its request: for each part of it, which has rows and then deletions, how many of both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout(Vec<(usize, usize)>);

impl Layout {
    /// A request of so many rows.
    pub(crate) fn rows(rows: usize) -> Self {
        Self(vec![(rows, 0)])
    }

    /// Adds a part of the request.
    pub(crate) fn add(&mut self, rows: usize, deletes: usize) {
        self.0.push((rows, deletes));
    }

    /// How many rows and deletions there are.
    fn len(&self) -> usize {
        self.0.iter().map(|(rows, deletes)| rows + deletes).sum()
    }

    /// The place of a row in the request.
    fn place(&self, row: u32) -> Value {
        let mut at = row as usize;
        for (write, (rows, deletes)) in self.0.iter().enumerate() {
            let mut place = match at {
                _ if at < *rows => json!({ "row": at }),
                _ if at - rows < *deletes => json!({ "delete": at - rows }),
                _ => {
                    at -= rows + deletes;
                    continue;
                }
            };
            if self.0.len() > 1
                && let Some(place) = place.as_object_mut()
            {
                place.insert("write".to_owned(), json!(write));
            }
            return place;
        }
        json!({ "row": row })
    }
}

/// Says in an answer's headers how many rows changed nothing, if any did.
fn insert_outranked(headers: &mut HeaderMap, receipt: &WriteReceipt) {
    if !receipt.outranked.is_none() {
        headers.insert(HeaderName::from_static(OUTRANKED), HeaderValue::from(receipt.outranked.count));
    }
}

/// A write's receipt.
pub(crate) fn rows(receipt: &WriteReceipt, layout: &Layout) -> Map<String, Value> {
    let mut members = change(receipt);
    members.insert("first".to_owned(), json!(receipt.first));
    members.insert("rows".to_owned(), json!(layout.len()));
    let places: Vec<Value> = receipt.outranked.rows.iter().map(|row| layout.place(*row)).collect();
    members.insert("outranked".to_owned(), json!({ "count": receipt.outranked.count, "rows": places }));
    members.insert("concern".to_owned(), json!(receipt.concern));
    members.insert("duplicate".to_owned(), json!(receipt.duplicate));
    members
}
