//! What is wrong with a body that does not parse, in the words of Feast's web framework. Looks again, at leisure: nobody
//! waits for an error.

use crate::failure::Failure;
use serde_json::{Map, Value};

/// Longer bodies are not looked at again, as a tree of them takes many times their memory.
const BODY_LEN_MAX: usize = 1 << 20;

/// The members of a body that is an object, for a closer look.
///
/// # Errors
/// What is wrong with it, when it is none.
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
            let message = "the body is no JSON object";
            Err(Failure::body("model_attributes_type", vec![], "Input should be a valid dictionary", message))
        }
        Err(error) => {
            Err(Failure::body("json_invalid", vec![], "JSON decode error", format!("the body is not JSON: {error}")))
        }
    }
}

/// When nothing more telling is found.
pub(crate) fn otherwise(error: &serde_json::Error) -> Failure {
    Failure::body("value_error", vec![], "Input should be valid", format!("the body cannot be taken: {error}"))
}
