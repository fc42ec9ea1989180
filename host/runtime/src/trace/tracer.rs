//! Which requests are recorded, and where their spans go.

use super::{
    headers,
    span::{Kind, Record, Span},
};
use http::HeaderMap;
use littoral_model::trace::{SpanId, TraceContext, TraceId};
use metrics::Counter;
use std::{
    num::{NonZeroU64, NonZeroU128},
    sync::OnceLock,
    time::Instant,
};
use tokio::sync::mpsc;

/// The number of ended spans that wait for export: a few megabytes.
const WAITING_MAX: usize = 4_096;

/// The ended spans of the process.
pub type Spans = mpsc::Receiver<Record>;

struct Tracer {
    /// A random number below this one samples a request. One more than the largest number samples all.
    below: u64,
    all: bool,
    ended: mpsc::Sender<Record>,
    full: Counter,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// The beginning of a request.
#[derive(Debug, Default)]
pub struct Start {
    /// The span of the whole request.
    pub span: Span,
    /// The context of the work for it. `None` if there is nothing to pass on.
    pub context: Option<TraceContext>,
}

/// Begins to record a ratio of the requests, from 0 to 1. Returns the spans to export, or `None` if the process records
/// already.
#[must_use]
pub fn install(ratio: f64) -> Option<Spans> {
    let (ended, spans) = mpsc::channel(WAITING_MAX);
    let full = metrics::counter!("littoral_trace_spans_dropped_total", "reason" => "queue_full");
    // Converting to an integer saturates.
    let below = (ratio * 2_f64.powi(64)) as u64;
    let tracer = Tracer { below, all: ratio >= 1.0, ended, full };
    TRACER.set(tracer).ok().map(|()| spans)
}

/// Returns whether the process records traces.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Begins the span of a request with these headers, which arrived at `began`.
///
/// A client that is believed decides whether its trace is recorded, and its span is the parent. For any other client a
/// new trace begins, which the configured ratio samples, with a link to the client's span: a stranger must neither
/// decide what is recorded nor write into a trace of somebody else.
#[must_use]
pub fn serve(headers: &HeaderMap, is_believed: impl FnOnce() -> bool, began: Instant) -> Start {
    let Some(tracer) = TRACER.get() else { return Start::default() };
    begin(tracer, headers, is_believed, began, false)
}

/// Like [`serve`], for a request that is forwarded. There is always a context, so that the next node does not decide
/// again.
#[must_use]
pub fn serve_routed(headers: &HeaderMap, is_believed: bool, began: Instant) -> Start {
    let Some(tracer) = TRACER.get() else { return Start::default() };
    begin(tracer, headers, || is_believed, began, true)
}

fn begin(
    tracer: &Tracer,
    headers: &HeaderMap,
    is_believed: impl FnOnce() -> bool,
    began: Instant,
    is_forwarded: bool,
) -> Start {
    let named = headers::read(headers);
    let (parent, link) = match named {
        Some(parent) if is_believed() => (Some(parent), None),
        other => (None, other),
    };
    if let Some(parent) = parent {
        let mut span = Span::child_of(Some(&parent), "", Kind::Server);
        span.began_at(began);
        return Start { context: span.context().or(Some(parent)), span };
    }
    let sampled = tracer.samples();
    if !sampled && !is_forwarded {
        return Start::default();
    }
    let context = TraceContext { trace: new_trace(), span: new_span(), sampled, state: None };
    let mut span = Span::none();
    if sampled {
        span = Span::new(context.clone(), None, "", Kind::Server);
        span.began_at(began);
        if let Some(link) = link {
            span.link(link);
        }
    }
    Start { span, context: Some(context) }
}

impl Tracer {
    fn samples(&self) -> bool {
        self.all || fastrand::u64(..) < self.below
    }
}

/// Queues an ended span. Drops it if the exporter is behind.
pub(super) fn end(record: Record) {
    if let Some(tracer) = TRACER.get()
        && tracer.ended.try_send(record).is_err()
    {
        tracer.full.increment(1);
    }
}

fn new_trace() -> TraceId {
    loop {
        if let Some(id) = NonZeroU128::new(fastrand::u128(..)) {
            return TraceId(id);
        }
    }
}

pub(super) fn new_span() -> SpanId {
    loop {
        if let Some(id) = NonZeroU64::new(fastrand::u64(..)) {
            return SpanId(id);
        }
    }
}
