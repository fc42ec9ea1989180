//! What can be wrong with columns.

use littoral_model::value::ValueType;

/// Why columns are not rows of a view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no Arrow IPC stream, or a damaged one.
    #[error("not an Arrow IPC stream: {0}; send the stream format, uncompressed, with its schema first")]
    Malformed(String),
    /// A join key has no column.
    #[error("join key column '{column}' of view '{view}' is missing; there are {there}")]
    MissingKey {
        /// The view.
        view: String,
        /// The column that was looked for.
        column: String,
        /// What columns there are.
        there: String,
    },
    /// A feature has no column, and missing ones are not allowed.
    #[error("feature column '{column}' of view '{view}' is missing; there are {there}")]
    MissingFeature {
        /// The view.
        view: String,
        /// The column that was looked for.
        column: String,
        /// What columns there are.
        there: String,
    },
    /// No feature of the view has a column.
    #[error("none of the columns is a feature of view '{view}'; there are {there}")]
    NoFeatures {
        /// The view.
        view: String,
        /// What columns there are.
        there: String,
    },
    /// A column that is neither join key nor feature nor timestamp, and others are not allowed.
    #[error(
        "view '{view}' has no join key or feature '{column}'; leave that column out, or add the feature to the view"
    )]
    UnknownColumn {
        /// The view.
        view: String,
        /// The column.
        column: String,
    },
    /// A mapping names something that is not there.
    #[error("the column mapping names '{name}', which is no join key or feature of view '{view}'")]
    UnknownMapping {
        /// The view.
        view: String,
        /// What the mapping names.
        name: String,
    },
    /// The event timestamp's column is missing though it was asked for by name.
    #[error("timestamp column '{column}' is missing; there are {there}")]
    MissingTimestamp {
        /// The column that was looked for.
        column: String,
        /// What columns there are.
        there: String,
    },
    /// Two columns of one name.
    #[error("there are two columns named '{0}'")]
    DuplicateColumn(String),
    /// A column's type cannot become the feature's.
    #[error("column '{column}' is {got}, which cannot become {expected}: {remedy}")]
    ColumnType {
        /// The column.
        column: String,
        /// Its Arrow type.
        got: String,
        /// The type of the feature or join key.
        expected: ValueType,
        /// What to do.
        remedy: String,
    },
    /// The event timestamp's column is of a type that holds no time.
    #[error(
        "timestamp column '{column}' is {got}; use an Arrow timestamp, a date, RFC 3339 text, or seconds since 1970"
    )]
    TimestampType {
        /// The column.
        column: String,
        /// Its Arrow type.
        got: String,
    },
    /// A value that its column may not hold.
    #[error("column '{column}', row {row}: {reason}")]
    Value {
        /// The column.
        column: String,
        /// The row, counted from 0 within what was given in one go.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// An entity key longer than the longest.
    #[error("row {row}: entity key is {len} bytes long; the longest is {max}", max = littoral_model::entity_key::KEY_LEN_MAX)]
    KeyTooLong {
        /// The row, counted from 0 within what was given in one go.
        row: usize,
        /// The key's length in bytes.
        len: usize,
    },
    /// More rows than one request may have.
    #[error("more than {0} rows at once; send smaller batches")]
    TooManyRows(usize),
    /// More bytes than one request may have.
    #[error("more than {0} bytes of rows at once; send smaller batches")]
    TooLarge(usize),
    /// Stored bytes are not rows of the view.
    #[error("row {row} is not a row of view '{view}'")]
    Row {
        /// The view.
        view: String,
        /// The row.
        row: usize,
    },
}

impl Error {
    /// The same error for a batch whose first row is row `base` of the whole.
    #[must_use]
    pub fn offset_rows(mut self, base: usize) -> Self {
        if let Self::Value { row, .. } | Self::KeyTooLong { row, .. } | Self::Row { row, .. } = &mut self {
            *row += base;
        }
        self
    }
}
