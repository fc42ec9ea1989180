//! Why a load failed.

use crate::files::Found;
use std::path::PathBuf;

/// Why a load failed. Acknowledged rows stay loaded; running the load again continues after them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is out of its range.
    #[error("{0}")]
    Options(String),
    /// A file or directory that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// A directory without Parquet files.
    #[error(
        "{} holds no *.parquet file: {} of its files have other names, and {} files and folders are left out as their names begin \
         with '.' or '_'",
        path.display(), found.others, found.hidden
    )]
    NoFiles {
        /// Its path.
        path: PathBuf,
        /// What it contains instead.
        found: Found,
    },
    /// A folder's name that gives a column a value which the view does not accept.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The file in it.
        path: PathBuf,
        /// The folder, and what is wrong with it.
        reason: String,
    },
    /// A file that is not Parquet, or is damaged.
    #[error("{} is not a readable Parquet file: {reason}", path.display())]
    NotParquet {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Columns or values that do not fit the view.
    #[error("{}: {source}", path.display())]
    Rows {
        /// Its path.
        path: PathBuf,
        /// What does not fit; rows are numbered from 0 within the file.
        source: littoral_columnar::Error,
    },
    /// The state file cannot be used.
    #[error("cannot {action} the load's state {}: {reason}; give another path with --state", path.display())]
    State {
        /// Its path.
        path: PathBuf,
        /// `read` or `write`.
        action: &'static str,
        /// The system's error.
        reason: String,
    },
    /// The view does not exist.
    #[error("there is no feature view '{0}'; create it first (`littoral view apply FILE`), or give another name")]
    NoView(String),
    /// The node rejected rows or cannot be reached.
    #[error("{source}; {rows_done} of {rows} rows are loaded: run the same command again to continue")]
    Send {
        /// The client's error.
        source: Box<littoral_client::Error>,
        /// The acknowledged rows.
        rows_done: u64,
        /// All rows.
        rows: u64,
    },
    /// The node rejected a row.
    #[error(
        "{}, row {row}: {source}; {rows_done} of {rows} rows are loaded: correct the row, or skip rejected rows with \
         --skip-refused, and run the same command again to continue",
        path.display()
    )]
    Row {
        /// The file.
        path: PathBuf,
        /// The row's number in it, from 0.
        row: u64,
        /// The client's error.
        source: Box<littoral_client::Error>,
        /// The acknowledged rows.
        rows_done: u64,
        /// All rows.
        rows: u64,
    },
    /// A call before the first row was sent failed: the node rejected it or does not answer.
    #[error(transparent)]
    Client(#[from] littoral_client::Error),
    /// A thread or task of the load ended without an error.
    #[error("the load's {0} stopped unexpectedly; run the same command again to continue")]
    Internal(&'static str),
}
