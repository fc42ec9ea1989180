//! Rows of a write that changed nothing.

use serde::{Deserialize, Serialize};

/// Rows of a write that changed nothing, as what was held of their keys outranked them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outranked {
    /// How many.
    pub count: u64,
    /// Where the first [`Outranked::ROWS_MAX`] of them stand in the write, in order.
    pub rows: Vec<u32>,
}

impl Outranked {
    /// So many rows are named.
    pub const ROWS_MAX: usize = 100;

    /// Whether every row was kept.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.count == 0
    }

    /// Adds the row that stands here in the write, behind those that were added before.
    pub fn add(&mut self, row: u32) {
        if self.rows.last() == Some(&row) {
            return;
        }
        self.count += 1;
        if self.rows.len() < Self::ROWS_MAX {
            self.rows.push(row);
        }
    }
}
