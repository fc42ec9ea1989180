//! The HTTP gateway: answers the router's own endpoints, and forwards every other request to the door that the decision
//! core chooses.
//!
//! Clients use HTTP/1.1 or HTTP/2, with or without TLS. The gateway uses HTTP/1.1 over kept connections to the doors.
//! It holds small answers to reads until they are complete, so that an edge that crashes while it sends one causes a
//! retry and not a failed read.

pub mod answer;
mod attempt;
mod body;
pub mod config;
mod failure;
mod head;
mod headers;
mod hedged_attempts;
mod latency;
pub mod outgoing;
mod own;
mod pool;
mod request_driver;
mod serve;
mod service;
mod stream;
mod traced;
pub mod upstream;
mod verdict;

pub use config::Config;
pub use littoral_http::{Process, RESERVE as CONNECTIONS_RESERVE};
pub use serve::{Listeners, serve};
