//! The leader of a region: accepts writes, makes them durable in groups, applies them, acknowledges them, and feeds edges.
//!
//! ```text
//! writer ─▶ check (caller's task) ─▶ queue ─▶ commit thread: versions, numbers, chain
//!                                                │
//!                                             disk thread: one append, one fsync; the commit thread appends small batches
//!                                                │
//!                                             replication: committed ─▶ apply thread: table, catalogue, head ─▶ acknowledged
//! ```
//!
//! [`Replication`] is the seam to whatever makes the log the log of the region: [`start`] keeps it alone, and `littoral-members` keeps
//! it with other members.
//!
//! Invariants: no record is acknowledged before it is durable, or visible or fed before it is committed; records are applied in the
//! order of their numbers; a write is taken whole or not at all; a write that the disk rejects leaves no trace, and reads continue.

#![warn(clippy::unwrap_used)]

mod affiliation;
mod apply;
mod commit;
mod commit_waiters;
mod config;
mod disk;
mod exchange;
mod handle;
mod hands;
mod local_log;
mod maintain;
mod modules;
mod observe;
mod proof;
mod put_back;
mod queue;
mod read;
mod read_quorum;
mod replication;
mod shared;
mod spread;
mod stage;
mod start;
mod write_target;

pub use commit_waiters::CommitWaiters;
pub use config::{Config, InvalidConfig, OtherRegion, Seat};
pub use handle::Handle;
pub use littoral_recovery::{Progress, RecoverError};
pub use local_log::{AppendLock, LocalLog};
pub use replication::{LeaderPeer, Replication, Role, Standing, Writers};
pub use start::{FreshLog, Ground, Opened, StartError, open, start, start_on};
