//! The doors of leaders and edges: Feast's protocol and the native `/v1` API, over HTTP/1.1 and HTTP/2, with or without
//! TLS, on one port.
//!
//! The path of a read: `littoral_http` drives the connection within its bounds, `routes` finds the endpoint, the JSON
//! is parsed without copying, a cached plan names the rows that are needed, the node returns the rows, modules run, and
//! the answer is written straight from the bytes of the rows.
//!
//! Invariant: no request, whatever it contains, uses more memory than [`Config`] allows, or ends another request.

#![warn(clippy::unwrap_used)]

mod access;
mod answer;
pub mod bare;
mod body;
mod config;
mod diagnose;
mod door;
mod failure;
mod feast;
mod json;
mod latency;
mod offload;
mod openapi;
mod project;
mod read;
mod receipt;
mod routes;
mod rows;
mod service;
mod slot;
mod state;
mod traced;
mod v1;
mod weight;

pub use access::Guard;
pub use config::Config;
pub use door::{Door, Opener};
pub use littoral_http::{Process, RESERVE as CONNECTIONS_RESERVE};
pub use littoral_runtime::metrics::Metrics;
pub use openapi::document as openapi;

use littoral_model::ports::{ModuleRuntime, Node};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the doors of a node on the caller's runtime until cancelled. Then lets running requests end within
/// [`Config::drain_ms`]. Install a metrics recorder first.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    process: Process,
    node: Arc<dyn Node>,
    modules: Arc<dyn ModuleRuntime>,
    shutdown: CancellationToken,
) {
    let door = Door::new(listener, config, process, Guard::open(), String::new);
    door.opener().open(node, modules);
    door.serve(shutdown).await;
}
