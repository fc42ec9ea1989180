//! A span: one piece of work, with its time and what is known about it.

use super::{current, tracer};
use littoral_model::trace::{SpanId, TraceContext, TraceId, TraceState};
use std::{
    borrow::Cow,
    fmt::{self, Display},
    time::{Duration, Instant},
};

/// The number of links of a span.
const LINKS_MAX: usize = 8;

/// How a span relates to other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It serves a request of another process.
    Server,
    /// It sends a request to another process and waits for the answer.
    Client,
    /// It does neither.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Int(i64),
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// The span that caused it, if there is one.
    pub parent: Option<SpanId>,
    /// Other spans that caused it too.
    pub links: Vec<TraceContext>,
    /// The state of the trace.
    pub state: Option<TraceState>,
    /// Its name. There are few different ones.
    pub name: Cow<'static, str>,
    /// How it relates to other processes.
    pub kind: Kind,
    /// When it began, in nanoseconds since 1970.
    pub began_ns: u64,
    /// How long it took.
    pub took: Duration,
    /// What is known about it. No key and no value of an entity is.
    pub attributes: Vec<(&'static str, Value)>,
    /// What failed, as an error code or another term with few values.
    pub error: Option<Cow<'static, str>>,
}

/// A span of running work, which ends when it is dropped. Most are of requests that are not sampled: they record
/// nothing, and creating one is a branch.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Active>>);

#[derive(Debug)]
struct Active {
    record: Record,
    began: Instant,
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(active) = self.0.take() {
            let Active { record, began } = *active;
            tracer::end(Record { took: began.elapsed(), ..record });
        }
    }
}

impl Span {
    /// Returns a span that records nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Begins a span within the trace of the running work, if that is sampled.
    #[must_use]
    pub fn child(name: &'static str, kind: Kind) -> Self {
        current::if_sampled(|parent| Self::begin(parent, name, kind)).unwrap_or_default()
    }

    /// Begins a span within a trace, if that is sampled.
    #[must_use]
    pub fn child_of(parent: Option<&TraceContext>, name: &'static str, kind: Kind) -> Self {
        match parent {
            Some(parent) if parent.sampled && tracer::is_on() => Self::begin(parent, name, kind),
            _ => Self::none(),
        }
    }

    /// Records a span of work that was measured elsewhere.
    pub fn measured(parent: &TraceContext, name: &'static str, began: Instant, attributes: Vec<(&'static str, Value)>) {
        let mut span = Self::child_of(Some(parent), name, Kind::Internal);
        span.began_at(began);
        if let Some(active) = &mut span.0 {
            active.record.attributes = attributes;
        }
    }

    fn begin(parent: &TraceContext, name: &'static str, kind: Kind) -> Self {
        let context = TraceContext { span: tracer::new_span(), ..parent.clone() };
        Self::new(context, Some(parent.span), name, kind)
    }

    pub(super) fn new(context: TraceContext, parent: Option<SpanId>, name: &'static str, kind: Kind) -> Self {
        let TraceContext { trace, span, state, sampled: _ } = context;
        let record = Record {
            trace,
            span,
            parent,
            links: Vec::new(),
            state,
            name: name.into(),
            kind,
            began_ns: crate::clock::wall().0.cast_unsigned(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            error: None,
        };
        Self(Some(Box::new(Active { record, began: Instant::now() })))
    }

    /// Moves the beginning to an earlier time.
    pub(super) fn began_at(&mut self, began: Instant) {
        if let Some(active) = &mut self.0 {
            let earlier = active.began.saturating_duration_since(began);
            active.began -= earlier;
            active.record.began_ns = active.record.began_ns.saturating_sub(earlier.as_nanos() as u64);
        }
    }

    /// Returns whether it records anything, so that what it would record is worth computing.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the context of work that this span causes. `None` if it records nothing.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let Record { trace, span, state, .. } = &self.0.as_ref()?.record;
        Some(TraceContext { trace: *trace, span: *span, sampled: true, state: state.clone() })
    }

    /// Replaces its name.
    pub fn rename(&mut self, name: impl FnOnce() -> Cow<'static, str>) {
        if let Some(active) = &mut self.0 {
            active.record.name = name();
        }
    }

    /// Adds another span that causes this one.
    pub fn link(&mut self, cause: TraceContext) {
        if let Some(active) = &mut self.0
            && active.record.links.len() < LINKS_MAX
            && !active.record.links.contains(&cause)
        {
            active.record.links.push(cause);
        }
    }

    /// Records what is known about the work.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(active) = &mut self.0 {
            active.record.attributes.push((key, value.into()));
        }
    }

    /// Like [`Span::set`], for a value whose text has to be written first.
    pub fn set_text(&mut self, key: &'static str, value: impl Display) {
        if let Some(active) = &mut self.0 {
            active.record.attributes.push((key, Value::Text(value.to_string().into())));
        }
    }

    /// Records that the work failed, unless [`Span::succeeded`] follows. `reason` is an error code, or another term
    /// with few values.
    pub fn failed(&mut self, reason: impl Into<Cow<'static, str>>) {
        if let Some(active) = &mut self.0 {
            active.record.error = Some(reason.into());
        }
    }

    /// Records that the work has not failed.
    pub fn succeeded(&mut self) {
        if let Some(active) = &mut self.0 {
            active.record.error = None;
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(i64::from(number))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(number) => number.fmt(f),
        }
    }
}
