//! The edge: a replica that follows its leader, answers reads from memory, and states how fresh
//! each answer is.
//!
//! [`Edge::start`] starts an edge; doors serve its [`Handle`]. The replica is one
//! [`littoral_replica::Table`]. [`littoral_edge_core`], which the simulation also drives, decides what to
//! do with each message, reply and read. This crate contains the tasks, the network, the files,
//! the logs and the metrics.
//!
//! Invariant: an answer's position and staleness are read before its rows.

mod budget;
mod config;
mod data_dir;
mod fills;
mod follow;
mod handle;

mod anti_entropy;
mod leader_link;
mod local_snapshot;
mod modules;
mod observe;
mod progress;
mod publish;
mod read;
mod rehoming;
mod row_file;
mod shared;
mod tails;
mod verify;

use littoral_edge_core::replica;

pub use config::{Config, InvalidConfig};
pub use handle::{Edge, Handle, StartError};
pub use littoral_edge_core::ViewMode;
pub use local_snapshot::rewrite_snapshot;
