//! Exports the spans of a process to a collector of traces, over OTLP (protobuf in HTTP).
//!
//! [`littoral_runtime::trace`] records spans and queues them. [`Exporter`] sends them in batches. Nothing here is awaited
//! by a request: a collector that is slow, gone or another server costs spans, which a metric counts.

#![warn(clippy::unwrap_used)]

mod config;
mod exporter;
mod headers;
mod otlp;

pub use config::Config;
pub use exporter::Exporter;
pub use otlp::Node;
