//! Traces: spans of the work that a process does for a request, and the trace context that connects them with the spans
//! of other processes.
//!
//! Without `[traces]` nothing is recorded, and a request costs one branch. With it, the spans of sampled requests are
//! queued for export; `littoral-traces` exports them. A full queue drops spans and never delays a request.
//!
//! A [context](TraceContext) reaches the spans of a task through [`within`]. It is not a task-local value, which every
//! request would pay for.

mod current;
mod headers;
mod span;
mod tracer;

pub use current::{Within, current, within, within_sync};
pub use headers::{PARENT, STATE, insert, remove};
pub use littoral_model::trace::{SpanId, TraceContext, TraceId, TraceState};
pub use span::{Kind, Record, Span, Value};
pub use tracer::{Spans, Start, install, is_on, serve, serve_routed};
