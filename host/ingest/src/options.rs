//! How a load is done.

use std::{collections::BTreeMap, path::PathBuf};

/// How a load is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The view that the rows belong to.
    pub view: String,
    /// The event timestamp's column. Default `event_timestamp`; a file without it is refused.
    pub timestamp: Option<String>,
    /// Join key or feature -> column, where the names differ.
    pub renamed: BTreeMap<String, String>,
    /// Whether features without a column are taken as null; otherwise such a file is refused.
    pub missing_as_null: bool,
    /// Whether only the last row of each entity key over all files is sent: the online state without its history. Takes
    /// about 40 bytes of memory a key.
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
            renamed: BTreeMap::new(),
            missing_as_null: false,
            latest_only: false,
            batch_rows: 20_000,
            body_bytes_max: 8 << 20,
            in_flight: 4,
            state: None,
            restart: false,
        }
    }
}
