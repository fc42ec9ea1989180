//! What a body's JSON becomes in memory, estimated before it is read.
//!
//! Two bytes of a body can become a value of sixty, and three an empty row of a hundred. A large body therefore finds room not
//! only for its bytes.

/// What one element takes, in bytes: a value in a list that has just doubled, or a named one. An empty row counts as two.
const ELEMENT: usize = 64;

/// About the memory that the elements of a body's JSON take, in bytes. Text is borrowed from the body.
pub(crate) fn of_elements(body: &[u8]) -> usize {
    // Every element is the first of its list or object, or comes after a comma. Those within text are counted too: an estimate
    // that looked for text would cost more than it saves.
    body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count().saturating_mul(ELEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_weighs() {
        assert_eq!(of_elements(br#"{"rows":[{},{},{}]}"#), 7 * ELEMENT);
        assert_eq!(of_elements(b"1"), 0);
    }
}
