//! The router: sends each request to the nearest healthy place. Stateless, so any number of them may run.
//!
//! Two doors stand before one decision core: an HTTP gateway, which proxies the doors of edges, and an authoritative DNS
//! responder, which tells clients the addresses of the edges of their region.

#![warn(clippy::unwrap_used)]

pub mod board;
pub mod config;
pub mod database;
pub mod dns;
pub mod gateway;
pub mod probe;
pub mod router;
pub mod watch;

pub use config::Config;
pub use littoral_router_core::{self as decision, topology};
pub use router::Router;
pub use topology::Topology;
