//! Row by row: is what an edge holds what its leader holds?

use crate::{demo::http::Http, failure::Failure};
use serde_json::Value;
use std::collections::BTreeMap;

/// Rows per page.
const PAGE: usize = 1_000;

/// Every row that a node holds of a view: its key's text with all of the rest.
pub type Rows = BTreeMap<String, Value>;

/// Reads every row of a view, page by page.
///
/// # Errors
/// When the node refuses or does not answer, or when its pages never end.
pub async fn rows(http: &Http, node: &str, view: &str) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    let mut cursor = String::new();
    loop {
        let answer = http.get(&format!("{node}/v1/views/{view}/rows?limit={PAGE}{cursor}")).await?;
        let page = answer.json()?;
        let before = rows.len();
        for row in page["rows"].as_array().into_iter().flatten() {
            rows.insert(row["key"].to_string(), row.clone());
        }
        match page["cursor"].as_str() {
            None => return Ok(rows),
            Some(_) if rows.len() == before => {
                return Err(Failure::refused(format!("{node} pages through view '{view}' without an end")));
            }
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
}

/// The first difference, in words; none when all rows are equal.
pub fn difference(leader: &Rows, edge: &Rows) -> Option<String> {
    for (key, row) in leader {
        match edge.get(key) {
            None => return Some(format!("the edge lacks {key}")),
            Some(other) if other != row => return Some(format!("the edge holds {other}, the leader {row}")),
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
    use serde_json::json;

    #[test]
    fn a_missing_an_added_and_a_changed_row_are_found() {
        let rows = |pairs: &[(&str, i64)]| pairs.iter().map(|(key, v)| ((*key).to_owned(), json!(v))).collect::<Rows>();
        let leader = rows(&[("a", 1), ("b", 2)]);
        assert_eq!(difference(&leader, &leader.clone()), None);
        for edge in [rows(&[("a", 1)]), rows(&[("a", 1), ("b", 3)]), rows(&[("a", 1), ("b", 2), ("c", 3)])] {
            assert!(difference(&leader, &edge).is_some());
        }
    }
}
