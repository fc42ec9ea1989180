//! Errors of bodies that do not parse, in the form of Feast's web framework. Parses the body again, as errors need not
//! be fast.

use crate::failure::Failure;
use serde_json::{Map, Value};

/// Longer bodies are not parsed again, as their tree needs a multiple of their memory.
const BODY_LEN_MAX: usize = 1 << 20;

/// Returns the members of a body that is an object.
///
/// # Errors
/// The error of a body that is not an object.
pub(crate) fn members(body: &[u8], error: &serde_json::Error) -> Result<Map<String, Value>, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::body("missing", vec![], "Field required", "the body is empty; send a JSON object"));
    }
    if body.len() > BODY_LEN_MAX {
        return Err(otherwise(error));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => {
            let message = "the body is not a JSON object";
            Err(Failure::body("model_attributes_type", vec![], "Input should be a valid dictionary", message))
        }
        Err(error) => {
            Err(Failure::body("json_invalid", vec![], "JSON decode error", format!("the body is not JSON: {error}")))
        }
    }
}

/// Returns the error if no more specific one applies.
pub(crate) fn otherwise(error: &serde_json::Error) -> Failure {
    Failure::body("value_error", vec![], "Input should be valid", format!("the body is invalid: {error}"))
}
