"""A collector of traces: decodes OTLP with the messages that OpenTelemetry publishes, and returns what it received.

POST /v1/traces receives spans, as protobuf. GET /spans returns them as JSON.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

spans = []


def plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def decoded(request):
    for of_resource in request.resource_spans:
        resource = plain(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": resource,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": trace.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    "began_ns": span.start_time_unix_nano,
                    "ended_ns": span.end_time_unix_nano,
                    "attributes": plain(span.attributes),
                    "links": [link.trace_id.hex() + "-" + link.span_id.hex() for link in span.links],
                    "is_error": span.status.code == trace.Status.STATUS_CODE_ERROR,
                }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            return self.answer(404, "text/plain", b"not OTLP")
        request = service.ExportTraceServiceRequest.FromString(body)
        spans.extend(decoded(request))
        self.answer(200, "application/x-protobuf", service.ExportTraceServiceResponse().SerializeToString())

    def do_GET(self):
        self.answer(200, "application/json", json.dumps(spans).encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"port={server.server_port}", flush=True)
# Ends with the process that started it.
sys.stdin.buffer.read()
os._exit(0)
