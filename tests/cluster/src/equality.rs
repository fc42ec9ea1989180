//! Compares nodes row by row.

use crate::accounts::VIEW;
use littoral_provision::Node;
use serde_json::Value;

/// Rows of one page.
const PAGE: usize = 1_000;

/// Returns all rows of the view that a node holds, by key.
///
/// # Panics
/// When the node does not answer with 200.
#[must_use]
pub fn held_rows(node: &Node) -> Vec<Value> {
    let mut client = node.client();
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page =
            client.get(&format!("/v1/views/{VIEW}/rows?limit={PAGE}{cursor}")).expect("the node answers").ok().json();
        rows.extend(page["rows"].as_array().cloned().unwrap_or_default());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Asserts that two nodes hold the same rows: keys, values, event timestamps, versions and LSNs.
///
/// # Panics
/// When they do not, with the first difference.
pub fn assert_equal(one: &Node, other: &Node) {
    let (ones, others) = (held_rows(one), held_rows(other));
    if let Some((a, b)) = ones.iter().zip(&others).find(|(a, b)| a != b) {
        panic!("rows differ:\n{a}\n{b}");
    }
    assert_eq!(ones.len(), others.len(), "one holds more rows");
}
