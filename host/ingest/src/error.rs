//! Why a load failed.

use crate::files::Found;
use std::path::PathBuf;

/// Why a load failed. What was acknowledged before stays; running the load again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option out of its range.
    #[error("{0}")]
    Options(String),
    /// A file or directory that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A directory without Parquet files.
    #[error(
        "{} holds no *.parquet file: {} of its files have other names, and {} files and folders are left out as their names begin \
         with '.' or '_'",
        path.display(), found.others, found.hidden
    )]
    NoFiles {
        /// Which.
        path: PathBuf,
        /// What is there.
        found: Found,
    },
    /// A folder's name that gives a column a value which the view does not take.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The file in it.
        path: PathBuf,
        /// Which folder, and what is wrong.
        reason: String,
    },
    /// A file that is not Parquet, or is damaged.
    #[error("{} is not a Parquet file that can be read: {reason}", path.display())]
    NotParquet {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Columns or values that do not fit the view.
    #[error("{}: {source}", path.display())]
    Rows {
        /// Which file.
        path: PathBuf,
        /// What does not fit; rows count from 0 within the file.
        source: littoral_columnar::Error,
    },
    /// The state file cannot be used.
    #[error("cannot {action} the load's state {}: {reason}; name another place with --state", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Read or write.
        action: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The view is not there.
    #[error("there is no feature view '{0}'; make it first (`littoral view apply FILE`), or give another name")]
    NoView(String),
    /// The node refused rows or cannot be reached.
    #[error("{source}; {rows_done} of {rows} rows are in: run the same command again to go on from there")]
    Send {
        /// The client's error.
        source: littoral_client::Error,
        /// Rows that are acknowledged.
        rows_done: u64,
        /// Rows in all.
        rows: u64,
    },
    /// The node refused a row.
    #[error(
        "{}, row {row}: {source}; {rows_done} of {rows} rows are in: correct the row, or leave out what is refused with \
         --skip-refused, and run the same command again to go on from there",
        path.display()
    )]
    Row {
        /// The file.
        path: PathBuf,
        /// The row's number in it, from 0.
        row: u64,
        /// The client's error.
        source: Box<littoral_client::Error>,
        /// Rows that are acknowledged.
        rows_done: u64,
        /// Rows in all.
        rows: u64,
    },
    /// The node cannot be asked at all.
    #[error(transparent)]
    Client(#[from] littoral_client::Error),
    /// A part of the load ended without a word.
    #[error("the load's {0} stopped unexpectedly; run the same command again to go on")]
    Internal(&'static str),
}
