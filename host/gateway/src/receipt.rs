//! What a write is told.

use crate::failure::Failure;
use http::HeaderMap;
use littoral_model::write::{IDEMPOTENCY_KEY_LEN_MAX, WriteReceipt};
use serde_json::{Map, Value, json};

/// The request's idempotency key.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if key.len() <= IDEMPOTENCY_KEY_LEN_MAX && !key.is_empty() => Ok(Some(key.to_owned())),
        _ => {
            let message = format!("idempotency-key takes 1 to {IDEMPOTENCY_KEY_LEN_MAX} characters of plain text");
            Err(Failure::bad_request("invalid_idempotency_key", message))
        }
    }
}

/// A change's receipt, to which endpoints add their own.
pub(crate) fn change(receipt: &WriteReceipt) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("position".to_owned(), json!(receipt.position.to_string()));
    members.insert("token".to_owned(), json!(receipt.token.to_string()));
    members
}

/// A write's receipt.
pub(crate) fn rows(receipt: &WriteReceipt, rows: usize) -> Map<String, Value> {
    let mut members = change(receipt);
    members.insert("first".to_owned(), json!(receipt.first));
    members.insert("rows".to_owned(), json!(rows));
    members.insert("concern".to_owned(), json!(receipt.concern));
    members.insert("duplicate".to_owned(), json!(receipt.duplicate));
    members
}
