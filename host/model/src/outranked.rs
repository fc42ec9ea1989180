//! The rows of a write that changed nothing.

use serde::{Deserialize, Serialize};

/// The rows of a write that changed nothing because stored rows outranked them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outranked {
    /// The number of such rows.
    pub count: u64,
    /// The indexes in the write of the first [`Outranked::ROWS_MAX`] of them, ascending.
    pub rows: Vec<u32>,
}

impl Outranked {
    /// The maximum number of indexes kept.
    pub const ROWS_MAX: usize = 100;

    /// Returns whether no row was outranked.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.count == 0
    }

    /// Adds the row with this index in the write. Indexes must arrive in ascending order.
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
