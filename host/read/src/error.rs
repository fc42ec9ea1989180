//! Errors of reads.

use littoral_model::{ports::ModuleError, read::ReadError};

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request is invalid.
    #[error("{message}")]
    Request {
        /// What is invalid, for programs.
        kind: Kind,
        /// What is invalid, where, and what to do.
        message: String,
    },
    /// The node could not read the rows.
    #[error(transparent)]
    Rows(#[from] ReadError),
    /// A module could not be called, or its call failed.
    #[error(transparent)]
    Module(#[from] ModuleError),
}

/// What is invalid in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such feature view.
    UnknownView,
    /// There is no such feature.
    UnknownFeature,
    /// There is no such feature service.
    UnknownService,
    /// The features are not a list of texts.
    InvalidFeatures,
    /// It has no feature.
    NoFeatures,
    /// It has too many features.
    TooManyFeatures,
    /// A feature reference is invalid.
    InvalidReference,
    /// A reference names a version of a view.
    UnsupportedVersion,
    /// Two columns of the answer would have one name.
    NameCollision,
    /// It lacks the join keys of a view.
    MissingJoinKey,
    /// It lacks a parameter of a module.
    MissingParameter,
    /// It has no row.
    NoEntities,
    /// Its columns have different lengths.
    UnequalLengths,
    /// A value is not of its column's type.
    InvalidValue,
    /// It has too many rows or values.
    TooLarge,
}

impl Error {
    pub(crate) fn request(kind: Kind, message: impl Into<String>) -> Self {
        Self::Request { kind, message: message.into() }
    }

    /// The error for a value that is not of its column's type.
    pub(crate) fn wrong_value(column: &str, row: usize, reason: &str) -> Self {
        let column: String = column.chars().take(128).collect();
        Self::request(Kind::InvalidValue, format!("row {row}, column '{column}': {reason}"))
    }

    /// Whether the node's catalogue lacks a name of the request.
    pub(crate) fn is_unknown_name(&self) -> bool {
        use Kind::{UnknownFeature, UnknownService, UnknownView};
        matches!(self, Self::Request { kind: UnknownFeature | UnknownService | UnknownView, .. })
    }
}
