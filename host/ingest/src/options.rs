//! How a load is done.

use std::{collections::BTreeMap, path::PathBuf};

/// How a load is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The view that the rows belong to.
    pub view: String,
    /// The event timestamp's column. Default: the one that the view's source names, or `event_timestamp`. A file without it is
    /// refused.
    pub timestamp: Option<String>,
    /// The column that says when a row was made: of rows of one key and equal event timestamps the one that was made last stays.
    /// A file without it is refused. Default: the one that the view's source names, or `created`, in files that have it. Where
    /// there is one, all keys are looked at before the first row is sent, which takes about 80 bytes of memory a key.
    pub created: Option<String>,
    /// Whether, of rows of one key and equal event timestamps, the one that stays is the one that stands last, whatever says when
    /// it was made.
    pub ignore_created: bool,
    /// Join key or feature -> column, where the names differ.
    pub renamed: BTreeMap<String, String>,
    /// Whether features without a column are taken as null; otherwise such a file is refused.
    pub missing_as_null: bool,
    /// Whether only the last row of each entity key over all files is sent: the online state without its history. Takes
    /// about 80 bytes of memory a key.
    pub latest_only: bool,
    /// Rows read at once; split among the partitions. Default 20,000.
    pub batch_rows: usize,
    /// The largest request body, in bytes. Default 8 MiB.
    pub body_bytes_max: usize,
    /// Batches in flight: entity keys are split among as many partitions. Default 4, at most 64.
    pub in_flight: usize,
    /// Where the load's state is kept. Default: beside the file as `FILE.littoral-ingest.json`, in a directory as
    /// `.littoral-ingest.json`.
    pub state: Option<PathBuf>,
    /// Whether rows that the node refuses, as for an event too far ahead, are left out and reported, and the others loaded. Otherwise
    /// the load ends with the first.
    pub skip_refused: bool,
    /// Whether to begin anew whatever the state file says.
    pub restart: bool,
}

impl Options {
    /// The defaults, for this view.
    #[must_use]
    pub fn new(view: impl Into<String>) -> Self {
        Self {
            view: view.into(),
            timestamp: None,
            created: None,
            ignore_created: false,
            renamed: BTreeMap::new(),
            missing_as_null: false,
            latest_only: false,
            batch_rows: 20_000,
            body_bytes_max: 8 << 20,
            in_flight: 4,
            state: None,
            skip_refused: false,
            restart: false,
        }
    }
}
