//! The laboratory: the demo, drills, local clusters and the benchmark. Production images do not contain it.
//!
//! - [`demo`]: runs all components on this machine and checks every claim.
//! - [`drill`]: injects faults into a cluster while clients read and write.
//! - [`local`]: clusters on this machine, for both and for `littoral dev`.
//! - [`mod@bench`]: speed and memory, compared with the floor of the same machine.
//!
//! Nodes run as processes of their own, started from this same executable, and are used through their doors and through
//! the product's own commands.

#![warn(clippy::unwrap_used)]

pub mod bench;
pub mod demo;
pub mod drill;
pub mod local;
mod plain_http;
mod product;

// The code that all commands share, under the names of modules of this crate.
use littoral_cli::{failure, output, ready, target};
