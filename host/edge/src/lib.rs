//! The edge: a replica that follows its leader, answers reads from memory, and states how fresh
//! each answer is.
//!
//! [`start`] begins to follow. Doors serve the [`Handle`]. A process that embeds an edge awaits [`Handle::ready`],
//! reads through the handle, and ends with [`Handle::close`]: there are no globals, so a process can run several edges.
//!
//! The replica is one [`littoral_replica::Table`]. [`littoral_edge_core`] decides what to do with each message, answer
//! and read; the simulation drives it too. This crate has the tasks, the network, the files, and the state that
//! operators see.
//!
//! Invariant: an answer's position and staleness are read before its rows.

#![warn(clippy::unwrap_used)]

mod budget;
mod config;
mod data_dir;
mod fills;
mod follow;
mod handle;

mod anti_entropy;
mod at_rest;
mod leader_link;
mod loading;
mod local_snapshot;
mod modules;
mod observe;
mod progress;
mod publish;
mod read;
mod rehoming;
mod row_file;
mod shared;
mod start;
mod tails;
mod verify;

use littoral_edge_core::replica;

/// The formats of files in the data directory of an edge.
pub const FORMATS: [littoral_model::format::Format; 2] =
    [local_snapshot::KIND.format("local snapshot of an edge"), tails::file::KIND.format("detached tail of an edge")];

pub use at_rest::files as stored_files;
pub use config::{Config, InvalidConfig};
pub use handle::{Closed, Handle};
pub use littoral_edge_core::ViewMode;
pub use loading::Loading;
pub use local_snapshot::rewrite_snapshot;
pub use start::{StartError, start, start_on};
