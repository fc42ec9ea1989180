//! Errors in columns.

use littoral_model::value::ValueType;

/// Why columns are not rows of a view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not an Arrow IPC stream, or are damaged.
    #[error("not an Arrow IPC stream: {0}; send the stream format, uncompressed, with its schema first")]
    Malformed(String),
    /// A join key has no column.
    #[error("join key column '{column}' of view '{view}' is missing; the columns are {there}")]
    MissingKey {
        /// The view.
        view: String,
        /// The missing column.
        column: String,
        /// The existing columns.
        there: String,
    },
    /// A feature has no column, and missing ones are not allowed.
    #[error("feature column '{column}' of view '{view}' is missing; the columns are {there}")]
    MissingFeature {
        /// The view.
        view: String,
        /// The missing column.
        column: String,
        /// The existing columns.
        there: String,
    },
    /// No feature of the view has a column.
    #[error("none of the columns is a feature of view '{view}'; the columns are {there}")]
    NoFeatures {
        /// The view.
        view: String,
        /// The existing columns.
        there: String,
    },
    /// A column is not a join key, feature or timestamp, and other columns are not allowed.
    #[error("view '{view}' has no join key or feature '{column}'; remove that column, or add the feature to the view")]
    UnknownColumn {
        /// The view.
        view: String,
        /// The column.
        column: String,
    },
    /// A mapping names a join key or feature that does not exist.
    #[error("the column mapping names '{name}', which is not a join key or feature of view '{view}'")]
    UnknownMapping {
        /// The view.
        view: String,
        /// The unknown name.
        name: String,
    },
    /// The event timestamp's column was requested by name and is missing.
    #[error("timestamp column '{column}' is missing; the columns are {there}")]
    MissingTimestamp {
        /// The missing column.
        column: String,
        /// The existing columns.
        there: String,
    },
    /// Two columns have the same name.
    #[error("there are two columns named '{0}'")]
    DuplicateColumn(String),
    /// A column's type cannot be converted to the feature's type.
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
    /// The event timestamp's column has a type that cannot hold a time.
    #[error(
        "timestamp column '{column}' is {got}; use an Arrow timestamp, a date, RFC 3339 text, or seconds since 1970"
    )]
    TimestampType {
        /// The column.
        column: String,
        /// Its Arrow type.
        got: String,
    },
    /// A column contains an invalid value.
    #[error("column '{column}', row {row}: {reason}")]
    Value {
        /// The column.
        column: String,
        /// The row, counted from 0 within one call.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// An entity key is too long.
    #[error("row {row}: entity key is {len} bytes long; the maximum is {max}", max = littoral_model::entity_key::KEY_LEN_MAX)]
    KeyTooLong {
        /// The row, counted from 0 within one call.
        row: usize,
        /// The key's length in bytes.
        len: usize,
    },
    /// There are more rows than one request may have.
    #[error("more than {0} rows in one request; send smaller batches")]
    TooManyRows(usize),
    /// There are more bytes than one request may have.
    #[error("more than {0} bytes of rows in one request; send smaller batches")]
    TooLarge(usize),
    /// Stored bytes are not a row of the view.
    #[error("row {row} is not a row of view '{view}'")]
    Row {
        /// The view.
        view: String,
        /// The row.
        row: usize,
    },
}

impl Error {
    /// Adds `base`, the index of a batch's first row in the whole, to the row in the error.
    #[must_use]
    pub fn offset_rows(mut self, base: usize) -> Self {
        if let Self::Value { row, .. } | Self::KeyTooLong { row, .. } | Self::Row { row, .. } = &mut self {
            *row += base;
        }
        self
    }
}
