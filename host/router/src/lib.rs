//! The router: sends each request to the nearest healthy door. It keeps no durable state, so any number of routers may
//! run.
//!
//! Two front ends use one decision core: an HTTP gateway, which proxies the doors of edges and leaders, and an
//! authoritative DNS responder, which answers with the addresses of the edges of the best region for the client.

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
pub use router::{Router, Security};
pub use topology::Topology;
