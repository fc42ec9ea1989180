//! Members of a region that keep its log together: one leads, the others follow, and a lease and a majority decide
//! which.
//!
//! ```text
//!            lease won                  a majority promised, its newest log is fetched
//! following ───────────▶ candidate: prepare ───────────────────────────▶ begin ──committed──▶ leading
//!     ▲  fetch, append, apply committed records                                                  │
//!     └──────────────── lease lost · a newer epoch promised · no majority heard ◀─────────────────┘
//! ```
//!
//! [`littoral_protocol::members`] and [`littoral_lease`] decide; this crate drives them. `Membership` is the
//! [`littoral_leader::Replication`] of a member's log. `host/decisions/0008-followers-and-promotion.md` explains why it
//! is safe.
//!
//! Invariants: rows are applied, visible and published only once a majority has them, so a row that was read is never
//! discarded. A write is acknowledged only after it is durable and the lease has then been checked once more.

#![warn(clippy::unwrap_used)]

mod follow;
mod fork;
mod lead;
mod majority;
mod member;
mod membership;
mod peer_service;
mod peers;
mod roles;
mod tails;

pub use member::Member;

use littoral_lease::{LeaseStore, Timing, clock::Clock};
use std::sync::Arc;

/// What a member needs besides its [`littoral_leader::Config`], which names the members.
#[derive(Clone)]
pub struct Election {
    /// Stores the lease.
    pub store: Arc<dyn LeaseStore>,
    /// The lease's term, intervals and timeouts.
    pub timing: Timing,
    /// The clock of the lease.
    pub clock: Clock,
}

impl std::fmt::Debug for Election {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Election")
            .field("store", &self.store.name())
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
