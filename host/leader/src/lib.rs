//! The leader of a region: accepts writes, makes them durable in groups, applies them, acknowledges them, and publishes
//! them to edges.
//!
//! ```text
//! writer ─▶ check (caller's task) ─▶ queue ─▶ commit thread: versions, LSNs, chain
//!                                                │ one append, one fsync
//!                                             replication: committed ─▶ apply thread: table, catalogue, head ─▶ acknowledged
//! ```
//!
//! [`Replication`] is the seam to whatever makes the log the log of the region: [`start`] keeps it alone, and
//! `littoral-members` keeps it with other members.
//!
//! Invariants: no record is acknowledged before it is durable, or visible or published before it is committed; records
//! are applied in the order of their LSNs; a write is accepted as a whole or not at all; a write that the disk rejects
//! leaves no trace, and reads continue.

#![warn(clippy::unwrap_used)]

mod affiliation;
mod anti_entropy;
mod applied;
mod apply;
mod commit;
mod commit_waiters;
mod config;
mod cross_region;
mod handle;
mod local_log;
mod maintain;
mod modules;
mod observe;
mod queue;
mod read;
mod read_quorum;
mod replication;
mod restore_workers;
mod rollback;
mod rollout;
mod shared;
mod start;
mod threads;
mod write_path;
mod write_target;

pub use commit_waiters::CommitWaiters;
pub use config::{Config, InvalidConfig, MemberAddress, OtherRegion};
pub use handle::Handle;
pub use littoral_log::FORMATS;
pub use littoral_recovery::{Progress, RecoverError};
pub use local_log::{AppendLock, LocalLog};
pub use replication::{LeaderPeer, Replication, Role, RowFreshness, Writers};
pub use start::{Environment, FreshLog, Opened, StartError, open, start, start_on};
