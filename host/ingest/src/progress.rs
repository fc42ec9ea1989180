//! The progress of a load.

use std::path::Path;

/// Receives the progress of a load, from the task that runs the load. Must not block.
pub trait Progress: Send {
    /// Called once before anything is read, with the numbers of files and rows.
    fn planned(&mut self, files: usize, rows: u64) {
        let _ = (files, rows);
    }

    /// Called while keys are collected, with the number of rows read so far.
    fn scanned(&mut self, rows: u64) {
        let _ = rows;
    }

    /// Called at the start of a file, with the row from which it is loaded.
    fn file(&mut self, path: &Path, rows: u64, from_row: u64) {
        let _ = (path, rows, from_row);
    }

    /// Called with the number of rows that were done since the last call: acknowledged, left out, or done by an earlier
    /// run.
    fn done(&mut self, rows: u64) {
        let _ = rows;
    }
}

/// Ignores the progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
