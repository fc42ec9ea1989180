//! The edge: a replica that follows its leader, answers reads from memory, and states how fresh each answer is.
//!
//! [`Edge::start`] begins to follow; the [`Handle`] is what doors serve. The replica is one
//! [`littoral_replica::Table`]. What to do with each message, answer and read is decided in [`littoral_edge_core`],
//! which the simulation drives too; here are the tasks, the network, the files, and what is told to people.
//!
//! Invariant: an answer's position and staleness are read before its rows.

#![warn(clippy::unwrap_used)]

mod budget;
mod config;
mod data_dir;
mod fills;
mod follow;
mod handle;
mod homeward;
mod leader_link;
mod local_snapshot;
mod modules;
mod observe;
mod progress;
mod proof;
mod publish;
mod read;
mod row_file;
mod shared;
mod tails;
mod verify;

use littoral_edge_core::replica;

pub use config::{Config, InvalidConfig};
pub use handle::{Edge, Handle, StartError};
pub use littoral_edge_core::ViewMode;
pub use local_snapshot::rewrite_snapshot;
