//! The doors: Feast's protocol and the native `/v1` API, over HTTP/1.1 and HTTP/2 without TLS, on one port. The same
//! doors stand before a leader and before an edge.
//!
//! A request's way: [`connections`](self) bound it, the router names its endpoint, its JSON is read without copying,
//! a cached [`plan`](self) says which rows it needs, the node gives the rows, modules run, and the answer is written
//! straight from the rows' bytes.
//!
//! Invariant: no request, whatever it holds, costs more memory than [`Config`] allows, or ends another one.

#![warn(clippy::unwrap_used)]

pub mod bare;
mod body;
mod cell;
mod coerce;
mod config;
mod connections;
mod diagnose;
mod door;
mod failure;
mod feast;
mod json;
mod latency;
mod lenient;
mod offload;
mod patience;
mod place;
mod plan;
mod read;
mod receipt;
mod room;
mod routes;
mod rows;
mod service;
mod state;
mod unread;
mod v1;
mod weight;

pub use config::Config;
pub use door::{Door, Opener};
pub use littoral_runtime::metrics::Metrics;

use littoral_model::ports::{ModuleRuntime, Node};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the doors until cancelled: on [`Config::reactors`], but large requests, and all of HTTP/2, on the runtime that this is
/// called on. Then lets running requests end within the configured time. A recorder of
/// metrics must be installed before.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    node: Arc<dyn Node>,
    modules: Arc<dyn ModuleRuntime>,
    shutdown: CancellationToken,
) {
    let door = Door::new(listener, config, String::new);
    door.opener().open(node, modules);
    door.serve(shutdown).await;
}
