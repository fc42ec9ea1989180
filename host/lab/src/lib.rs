//! The laboratory: what shows, breaks and measures the product. It is no part of a production image.
//!
//! - [`demo`]: everything at work on this machine, checked.
//! - [`drill`]: a cluster is broken on purpose while clients read and write.
//! - [`local`]: clusters on this machine, for both and for `littoral dev`.
//! - [`mod@bench`]: speed and memory, beside the floor of the same machine.
//!
//! Nodes run as processes of their own, started from this same executable, and are used through their doors and through the
//! product's own commands.

#![warn(clippy::unwrap_used)]

pub mod bench;
pub mod demo;
pub mod drill;
pub mod local;
mod plain_http;
mod product;

// The commands' common parts, under the names of modules of this crate.
use littoral_cli::{failure, output, ready, target};
