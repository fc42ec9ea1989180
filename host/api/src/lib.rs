//! The HTTP API in types: header names, error codes, and the JSON of requests and answers. The doors, the router and
//! the client share them.
//!
//! The doors write answers with many rows by hand, straight from the bytes of the rows: `/get-online-features`,
//! `/v1/read`, and pages of rows, conflicts and tails. For these answers, the types here are what a client parses.

#![warn(clippy::unwrap_used)]

pub mod code;
pub mod conflicts;
pub mod feast;
pub mod headers;
pub mod modules;
pub mod names;
pub mod node;
mod position;
pub mod problem;
pub mod projects;
pub mod read;
pub mod receipt;
pub mod routes;
pub mod rows;
pub mod tails;
pub mod view;
mod whole;

pub use problem::Problem;
pub use receipt::{ChangeReceipt, RowsReceipt};

/// A JSON object: the key or the values of a row.
pub type Object = serde_json::Map<String, serde_json::Value>;
