//! HTTP servers, with or without TLS: accepts connections, serves HTTP/1.1 and HTTP/2 on one port, bounds what a client
//! can hold, and drains. The doors and the router both serve through this crate.
//!
//! [`serve`] accepts connections up to a bound, beyond which idle ones give way to new ones, and drives each of them. A
//! [`Handler`] answers the requests. [`body::take`] reads a request's body within a [`BodyBudget`], the memory that
//! large bodies and answers share.
//!
//! Invariant: a client that sends nothing, reads nothing or stalls halfway loses its connection within the times of
//! [`Limits`].

#![warn(clippy::unwrap_used)]

mod behind;
pub mod body;
pub mod browsers;
mod budget;
mod connection;
mod ended;
mod limits;
mod listener;
mod places;
mod process;
pub mod query;
mod socket;
mod stall;
mod unread;
mod wait_limit;
mod whole;

pub use behind::{Behind, client_behind};
pub use budget::{BodyBudget, COUNTED_FROM, Held};
pub use connection::{Client, Handler, Sending};
pub use limits::Limits;
pub use listener::serve;
pub use littoral_runtime::shares::{Borrowed, Exceeded, Kind, Load, Loads, Share, Shares};
pub use littoral_tls::PeerIdentity;
pub use places::{Group, RESERVE};
pub use process::Process;
pub use socket::Peer;
pub use stall::Stall;
pub use unread::{Unread, Watched};
pub use whole::Whole;
