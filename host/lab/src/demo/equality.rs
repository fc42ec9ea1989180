//! The comparison of an edge with its leader, row by row.

use crate::{failure::Failure, target};
use littoral_client::HeldRow;
use std::collections::BTreeMap;

/// Rows per page.
const PAGE: usize = 1_000;

/// The rows of a view that a node holds, by their keys' text.
pub type Rows = BTreeMap<String, HeldRow>;

/// Reads every row of a view, page by page.
///
/// # Errors
/// When the node rejects the request or does not answer, or when its pages do not end.
pub async fn rows(node: &str, view: &str) -> Result<Rows, Failure> {
    let client = target::client(node)?;
    let mut rows = Rows::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = client.row_page(view, PAGE, cursor.as_deref()).await.map_err(target::failed)?;
        let before = rows.len();
        rows.extend(page.rows.into_iter().map(|row| (serde_json::Value::from(row.key.clone()).to_string(), row)));
        if page.cursor.is_none() {
            return Ok(rows);
        }
        if rows.len() == before {
            return Err(Failure::rejected(format!("{node} returns pages of view '{view}' without end")));
        }
        cursor = page.cursor;
    }
}

/// Returns the first difference as text; `None` when all rows are equal.
pub fn difference(leader: &Rows, edge: &Rows) -> Option<String> {
    for (key, row) in leader {
        match edge.get(key) {
            None => return Some(format!("the edge lacks {key}")),
            Some(other) if other != row => return Some(format!("the edge holds {other:?}, the leader {row:?}")),
            Some(_) => {}
        }
    }
    edge.keys()
        .find(|key| !leader.contains_key(*key))
        .map(|key| format!("the edge holds {key}, which the leader lacks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, i64)]) -> Rows {
        let row = |lsn: i64| HeldRow {
            key: littoral_client::Object::new(),
            values: littoral_client::Object::new(),
            event_timestamp: "2001-07-01T00:00:00Z".into(),
            version: 1.into(),
            lsn: lsn.into(),
        };
        pairs.iter().map(|(key, lsn)| ((*key).to_owned(), row(*lsn))).collect()
    }

    #[test]
    fn a_missing_an_added_and_a_changed_row_are_found() {
        let leader = rows(&[("a", 1), ("b", 2)]);
        assert_eq!(difference(&leader, &leader.clone()), None);
        for edge in [rows(&[("a", 1)]), rows(&[("a", 1), ("b", 3)]), rows(&[("a", 1), ("b", 2), ("c", 3)])] {
            assert!(difference(&leader, &edge).is_some());
        }
    }
}
