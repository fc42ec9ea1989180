//! How a load tells how far it is.

use std::path::Path;

/// Hears how far a load is. Called from the task that runs the load; must not block.
pub trait Progress: Send {
    /// Once, before anything is read: how many files and rows there are in all.
    fn planned(&mut self, files: usize, rows: u64) {
        let _ = (files, rows);
    }

    /// With `latest_only`, as keys are gathered: rows looked at so far.
    fn scanned(&mut self, rows: u64) {
        let _ = rows;
    }

    /// A file is begun, at this row when an earlier run got that far.
    fn file(&mut self, path: &Path, rows: u64, from_row: u64) {
        let _ = (path, rows, from_row);
    }

    /// Rows that are done: acknowledged, superseded by a later row of their key, or done by an earlier run.
    fn done(&mut self, rows: u64) {
        let _ = rows;
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
