//! The HTTP gateway: proxies every path of an edge's doors to the place that the decision core chooses.
//!
//! HTTP/1.1 and HTTP/2 without TLS come in; HTTP/1.1 over kept connections goes out. Small answers to reads are held until
//! they are whole, so that an edge that dies in the middle of one costs a retry and not a failed read.

pub mod answer;
mod attempt;
mod body;
pub mod config;
mod connection;
mod failure;
mod head;
mod headers;
pub mod outgoing;
mod own;
mod pool;
mod pursuit;
mod race;
mod room;
mod serve;
mod service;
mod stream;
pub mod upstream;
mod verdict;

pub use config::Config;
pub use littoral_runtime::metrics::Metrics;
pub use serve::serve;
