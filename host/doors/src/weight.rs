//! Estimates the memory that a body's JSON needs, before it is parsed.
//!
//! Two bytes of a body can become a value of sixty bytes, and three an empty row of a hundred. A large body therefore
//! needs a budget for more than its own bytes.

/// The memory of one element, in bytes: a named value, or a value in a list whose capacity has just doubled. An empty
/// row counts as two.
const ELEMENT: usize = 64;

/// Estimates the memory that the elements of a body's JSON need, in bytes. Text is borrowed from the body.
pub(crate) fn of_elements(body: &[u8]) -> usize {
    // Every element is the first of its list or object, or follows a comma. Commas within text count too: to detect
    // text would cost more than it saves.
    body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count().saturating_mul(ELEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_counts() {
        assert_eq!(of_elements(br#"{"rows":[{},{},{}]}"#), 7 * ELEMENT);
        assert_eq!(of_elements(b"1"), 0);
    }
}
