//! The types that every crate of Littoral shares: positions in the log, versions, typed values,
//! rows, records, the catalogue, the freshness contract, and the traits through which the crates
//! use each other ([`ports`]).
//!
//! Invariant: nothing here opens a file or a socket, reads a clock or draws a random number. Time
//! is an argument.

#![warn(clippy::unwrap_used)]

pub mod adoption;
pub mod caller;
pub mod catalogue;
pub mod cluster;
pub mod column;
pub mod conflict;
pub mod convert;
pub mod details;
pub mod digest;
pub mod document;
pub mod entity_key;
pub mod event_time;
pub mod format;
pub mod freshness;
pub mod hlc;
pub mod identity;
pub mod instant;
pub mod lineage;
pub mod merge;
pub mod module;
pub mod module_outputs;
pub mod mutation;
pub mod origin;
pub mod outranked;
pub mod parts;
pub mod pattern;
pub mod ports;
pub mod position;
pub mod project;
pub mod read;
pub mod receipt;
pub mod record;
pub mod region;
pub mod row;
pub mod row_body;
#[cfg(feature = "schema")]
mod schema;
pub mod service;
pub mod status;
pub mod statuses;
pub mod tail;
pub mod token;
pub mod trace;
pub mod url;
pub mod value;
pub mod version;
pub mod view;
pub mod write;
