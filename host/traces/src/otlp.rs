//! Spans as messages of OTLP.

use littoral_runtime::trace::{Kind, Record, Value};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, SpanFlags, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use prost::Message as _;

/// The node that records spans.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its role, as `edge`.
    pub role: &'static str,
    /// Its name.
    pub name: String,
    /// Its region, if the configuration states one.
    pub region: Option<String>,
    /// Its build.
    pub build: &'static str,
}

impl Node {
    /// Returns its description, by the names of OpenTelemetry's conventions where they have one.
    pub(crate) fn resource(&self) -> Resource {
        let region = self.region.iter().map(|region| pair("littoral.region", text(region.clone())));
        let attributes = [
            pair("service.name", text(format!("littoral-{}", self.role))),
            pair("service.instance.id", text(self.name.clone())),
            pair("service.version", text(self.build)),
        ];
        Resource { attributes: attributes.into_iter().chain(region).collect(), ..Resource::default() }
    }
}

/// Encodes a request to export spans.
pub(crate) fn encode(resource: &Resource, spans: impl IntoIterator<Item = Record>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "littoral".to_owned(), ..InstrumentationScope::default() };
    let spans = spans.into_iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource.clone()), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

fn span(record: Record) -> Span {
    let Record { trace, span, parent, links, state, name, kind, began_ns, took, attributes, error } = record;
    let is_remote = kind == Kind::Server && parent.is_some();
    let sampled = 1;
    let remote = if is_remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    let mut attributes: Vec<_> = attributes.into_iter().map(|(key, value)| pair(key, any(value))).collect();
    attributes.extend(error.clone().map(|error| pair("error.type", text(error))));
    let links = links.into_iter().map(|link| Link {
        trace_id: link.trace.0.get().to_be_bytes().to_vec(),
        span_id: link.span.0.get().to_be_bytes().to_vec(),
        trace_state: link.state.map(Into::into).unwrap_or_default(),
        flags: u32::from(link.sampled) | SpanFlags::ContextHasIsRemoteMask as u32,
        ..Link::default()
    });
    Span {
        trace_id: trace.0.get().to_be_bytes().to_vec(),
        span_id: span.0.get().to_be_bytes().to_vec(),
        parent_span_id: parent.map(|parent| parent.0.get().to_be_bytes().to_vec()).unwrap_or_default(),
        trace_state: state.map(Into::into).unwrap_or_default(),
        flags: sampled | SpanFlags::ContextHasIsRemoteMask as u32 | remote,
        name: name.into_owned(),
        kind: match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        }
        .into(),
        start_time_unix_nano: began_ns,
        end_time_unix_nano: began_ns.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
        attributes,
        links: links.collect(),
        status: error.map(|_| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: impl Into<String>) -> any_value::Value {
    any_value::Value::StringValue(text.into())
}

fn any(value: Value) -> any_value::Value {
    match value {
        Value::Text(value) => text(value),
        Value::Int(number) => any_value::Value::IntValue(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_span_has_its_ids_its_time_its_attributes_and_its_error() {
        let context: littoral_runtime::trace::TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let record = Record {
            trace: context.trace,
            span: context.span,
            parent: Some(context.span),
            links: vec![context.clone()],
            state: Some("a=1".parse().unwrap()),
            name: "read".into(),
            kind: Kind::Server,
            began_ns: 5,
            took: Duration::from_nanos(7),
            attributes: vec![("rows", Value::Int(3)), ("door", Value::Text("eu/e1".into()))],
            error: Some("timeout".into()),
        };
        let node = Node { role: "edge", name: "e1".to_owned(), region: Some("eu".to_owned()), build: "1.0" };
        let bytes = encode(&node.resource(), [record]);
        let request = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
        let of_node = &request.resource_spans[0];
        let resource = of_node.resource.as_ref().unwrap();
        assert_eq!(resource.attributes[0], pair("service.name", text("littoral-edge")));
        assert_eq!(resource.attributes[3], pair("littoral.region", text("eu")));
        let span = &of_node.scope_spans[0].spans[0];
        let trace_id: Vec<u8> = (0..16).map(|at| (context.trace.0.get() >> (8 * (15 - at))) as u8).collect();
        assert_eq!((span.trace_id.clone(), span.links[0].trace_id.clone()), (trace_id.clone(), trace_id));
        assert_eq!(span.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert_eq!(span.parent_span_id, span.span_id);
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano, span.flags), (5, 12, 0x301));
        assert_eq!((&*span.trace_state, span.kind()), ("a=1", SpanKind::Server));
        let expected = [
            pair("rows", any_value::Value::IntValue(3)),
            pair("door", text("eu/e1")),
            pair("error.type", text("timeout")),
        ];
        assert_eq!(span.attributes, expected);
        assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
    }
}
