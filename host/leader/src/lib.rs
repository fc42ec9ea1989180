//! The leader of a region: takes writes, makes them durable in groups, applies them, acknowledges them, and feeds edges.
//!
//! ```text
//! writer ─▶ check (caller's task) ─▶ queue ─▶ commit thread: versions, numbers, chain
//!                                                │
//!                                             disk thread: one append, one fsync; a small batch's on the commit thread
//!                                                │
//!                  acknowledged ◀─ apply thread: table, catalogue, head
//! ```
//!
//! Invariants: nothing is acknowledged, visible or fed before it is durable; records are applied in the order of their
//! numbers; a write is taken whole or not at all; what the disk refuses leaves no trace, and reads go on.

#![warn(clippy::unwrap_used)]

mod apply;
mod belonging;
mod commit;
mod config;
mod disk;
mod exchange;
mod handle;
mod hands;
mod maintain;
mod members;
mod modules;
mod observe;
mod proof;
mod put_back;
mod queue;
mod read;
mod read_quorum;
mod shared;
mod spread;
mod stage;
mod start;

pub use config::{Config, InvalidConfig, OtherRegion};
pub use handle::Handle;
pub use littoral_recovery::{Progress, RecoverError};
pub use members::{Member, Membership, Seat};
pub use start::{Ground, Leader, StartError};
