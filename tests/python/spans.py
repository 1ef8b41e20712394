"""Reads OTLP requests with OpenTelemetry's own protobuf classes: `spans.py FILE…`, one request a file. Prints
{"spans": [{"name", "trace", "span", "parent", "kind", "status", "attributes", "events"}], "services": […]}."""

import json
import pathlib
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

spans, services = [], set()
for path in sys.argv[1:]:
    request = ExportTraceServiceRequest.FromString(pathlib.Path(path).read_bytes())
    for resource in request.resource_spans:
        named = {item.key: item.value.string_value for item in resource.resource.attributes}
        services.add(named["service.name"])
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert span.end_time_unix_nano >= span.start_time_unix_nano > 0, span
                spans.append({
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "kind": Span.SpanKind.Name(span.kind),
                    "status": Status.StatusCode.Name(span.status.code),
                    "attributes": {
                        item.key: item.value.string_value or item.value.int_value for item in span.attributes
                    },
                    "events": [event.name for event in span.events],
                })
print(json.dumps({"spans": spans, "services": sorted(services)}))
