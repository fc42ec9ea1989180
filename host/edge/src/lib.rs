//! The edge: a replica that follows its leader, answers reads from memory, and states how fresh each answer is.
//!
//! [`Edge::start`] begins to follow; the [`Handle`] is what doors serve. The replica is one
//! [`littoral_replica::Table`]; what to do with each message of the feed is decided in [`littoral_protocol`].
//!
//! Invariants: the position never passes what is applied; a block of records is checked whole before any of it is
//! applied; an answer's position and staleness are read before its rows.

mod apply;
mod bootstrap;
mod budget;
mod config;
mod demand;
mod fills;
mod follow;
mod handle;
mod leader_link;
mod local_snapshot;
mod modules;
mod observe;
mod progress;
mod proof;
mod publish;
mod read;
mod relay;
mod replica;
mod shared;
mod verify;

pub use config::{Config, InvalidConfig, ViewMode};
pub use handle::{Edge, Handle, StartError};
pub use local_snapshot::rewrite_snapshot;
