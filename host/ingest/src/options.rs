//! The options of a load.

use std::{collections::BTreeMap, path::PathBuf};

/// The options of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The view that the rows belong to.
    pub view: String,
    /// The column with event timestamps. Default: the one that the view's source names, or `event_timestamp`. A file
    /// without it is rejected.
    pub timestamp: Option<String>,
    /// The column with creation times: among rows with equal keys and event timestamps, the one created last wins. A
    /// file without the column is rejected. Default: the one that the view's source names, or `created`, in files that
    /// have it. With such a column all keys are read before the first row is sent, which takes about 80 bytes of memory
    /// per key.
    pub created: Option<String>,
    /// Whether, among rows with equal keys and event timestamps, the last one in the files wins, whatever its time of
    /// creation.
    pub ignore_created: bool,
    /// Join key or feature -> column, where the names differ.
    pub renamed: BTreeMap<String, String>,
    /// Whether features without a column are null; otherwise such a file is rejected.
    pub missing_as_null: bool,
    /// Whether only the last row of each entity key over all files is sent: the online state without its history. Takes
    /// about 80 bytes of memory per key.
    pub latest_only: bool,
    /// The number of rows that are read at once and then split among the partitions, 1 to 1,000,000. Default 20,000.
    pub batch_rows: usize,
    /// The largest request body, in bytes. Default 8 MiB.
    pub body_bytes_max: usize,
    /// The number of partitions among which entity keys are split, 1 to 64. Each partition has one request in flight.
    /// Default 4.
    pub in_flight: usize,
    /// The path of the load's state. Default: beside the file as `FILE.littoral-ingest.json`, in a directory as
    /// `.littoral-ingest.json`.
    pub state: Option<PathBuf>,
    /// Whether rows that the node rejects, for example for an event too far in the future, are left out and reported.
    /// Otherwise the load ends at the first one.
    pub skip_refused: bool,
    /// Whether to start over, whatever the state file contains.
    pub restart: bool,
}

impl Options {
    /// Returns the defaults for a view.
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
