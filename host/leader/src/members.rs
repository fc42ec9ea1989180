//! A region's log that several members keep: one leads, the others follow, and a lease and a majority decide which.
//!
//! ```text
//!            lease won                  a majority promised, its newest log is here
//! following ───────────▶ taking: prepare ─────────────────────────────▶ begin ──committed──▶ leading
//!     ▲  fetch, append, apply what is committed                                                 │
//!     └──────────────── lease lost · a newer epoch heard of · no majority heard ◀────────────────┘
//! ```
//!
//! What is decided is in [`littoral_protocol::members`] and [`littoral_lease`]; here it is driven. Why it is safe stands in
//! `host/decisions/0008-followers-and-promotion.md`.
//!
//! Invariants: rows are applied, shown and fed on when a majority has them, so nothing that anybody has read is ever taken
//! back; what is acknowledged is durable, and the lease is asked once more after that.

mod apply;
mod door;
mod elsewhere;
mod follow;
mod fork;
mod lead;
mod modules;
mod node;
mod part;
pub(crate) mod read;
mod service;
mod tails;
mod turns;
mod ways;

pub(crate) use elsewhere::Whither;
pub use node::Member;
pub(crate) use node::PartOf;
pub(crate) use part::{Part, Role};
pub(crate) use tails::KeptTails;
pub(crate) use turns::{Turns, Waiting};
pub(crate) use {apply::run as apply, service::while_leading};

use littoral_lease::{LeaseStore, Timing, clock::Clock};
use serde::Deserialize;
use std::sync::Arc;

/// `[[members]]`: one of those that keep the region's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// The member's name: the `leader.name` of its own configuration.
    pub name: String,
    /// Its peer listener, `host:port`, as the other members reach it.
    pub peer: String,
}

/// What a member needs besides its [`crate::Config`], which names the members.
#[derive(Clone)]
pub struct Membership {
    /// Where the lease lies.
    pub store: Arc<dyn LeaseStore>,
    /// Its times.
    pub timing: Timing,
    /// The clock that it runs by.
    pub clock: Clock,
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("store", &self.store.name())
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
