//! A leader without threads and without IO: what happens to writes before and after the log makes them durable.
//!
//! `littoral-leader` drives it with its commit, apply and maintenance threads. The simulation drives the same code in
//! one thread, over a disk that fails. `littoral-recovery` restores the state from a snapshot and the log.
//!
//! Invariants: nothing here does IO, reads a clock, generates a random number, starts a thread or logs; `clippy.toml`
//! enforces it. If a batch fails, everything that it changed before it was durable is undone.

#![warn(clippy::unwrap_used)]

pub mod affiliation;
pub mod anti_entropy;
pub mod apply;
pub mod commit;
pub mod cross_region;
mod deletion;
pub mod import;
pub mod ingest;
pub mod ledger;
pub mod log_state;
mod memory;
pub mod outranked_rows;
mod projects;
pub mod published;
pub mod quorum;
pub mod receipts;
pub mod rehoming;

pub use apply::State;
pub use commit::{Building, CommandEffect, LogCommand, Owner, Sequencer};
pub use import::{History, Import, Imports, gives_catalogue};
pub use ingest::Limits;
pub use ledger::Ledger;
pub use log_state::LogState;
pub use projects::AllowedRegions;
pub use published::{Head, Published, Records};
pub use receipts::Receipts;
pub use rehoming::RehomingPoints;
