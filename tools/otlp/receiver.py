"""A receiver of OTLP/HTTP that reads every body with OpenTelemetry's own classes, and judges it.

POST /v1/traces, /v1/metrics, /v1/logs   what is exported
POST /behave     how the next requests are answered, one after the other: [{...}] with any of
                 "status" (200), "headers" {}, "partial" [rejected, message], "text" (an error's message),
                 "raw" (the body as it is), "bytes" (so many of them), "close" (no answer at all),
                 "hold" (not before /release)
POST /release    answers whatever is held, and holds nothing any more
GET  /received   what was taken, what is wrong with it, and every request so far:
                 {"spans", "metrics", "logs", "problems", "requests"}
GET  /readyz     200
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.logs.v1 import logs_pb2 as logs_messages
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics_messages
from opentelemetry.proto.trace.v1 import trace_pb2 as trace_messages

lock = threading.Lock()
released = threading.Event()
behaviours = []
requests = []
spans, metrics, logs, problems = [], [], [], []


def wrong(what):
    problems.append(what)


def check(right, what):
    if not right:
        wrong(what)


def value_of(value):
    kind = value.WhichOneof("value")
    check(kind is not None, "an attribute has no value")
    return getattr(value, kind) if kind else None


def attributes_of(pairs, where):
    names = [pair.key for pair in pairs]
    check(len(set(names)) == len(names), f"{where}: an attribute twice: {names}")
    check(all(names), f"{where}: an attribute without a name")
    return {pair.key: value_of(pair.value) for pair in pairs}


def nothing_unknown(message, where):
    """A wrong field number shows as a field that nobody knows."""
    check(len(UnknownFieldSet(message)) == 0, f"{where}: unknown fields")
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.is_repeated else [value]:
            nothing_unknown(part, f"{where}.{field.name}")


def check_origin(holder, scoped, where):
    resource = attributes_of(holder.resource.attributes, where)
    check(resource.get("service.name"), f"{where}: no service.name")
    check(scoped.scope.name and scoped.scope.version, f"{where}: no scope")
    return resource


def check_ids(trace, span, where):
    check(len(trace) == 16 and any(trace), f"{where}: trace id {trace.hex()!r}")
    check(len(span) == 8 and any(span), f"{where}: span id {span.hex()!r}")


def take_span(span, resource):
    where = f"span {span.name!r}"
    check_ids(span.trace_id, span.span_id, where)
    check(len(span.parent_span_id) in (0, 8), f"{where}: parent {span.parent_span_id.hex()!r}")
    check(span.name, "a span without a name")
    check(0 < span.start_time_unix_nano <= span.end_time_unix_nano, f"{where}: it ends before it starts")
    for event in span.events:
        within = span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano
        check(within, f"{where}: event {event.name!r} outside of it")
    check(span.flags & 1 == 1, f"{where}: not sampled")
    is_remote = bool(span.flags & trace_messages.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
    check(span.flags & trace_messages.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, f"{where}: parent's place unknown")
    spans.append(
        {
            "trace": span.trace_id.hex(),
            "id": span.span_id.hex(),
            "parent": span.parent_span_id.hex(),
            "remote": is_remote,
            "state": span.trace_state,
            "name": span.name,
            "kind": trace_messages.Span.SpanKind.Name(span.kind),
            "start": span.start_time_unix_nano,
            "end": span.end_time_unix_nano,
            "attributes": attributes_of(span.attributes, where),
            "events": [[event.name, event.time_unix_nano] for event in span.events],
            "status": trace_messages.Status.StatusCode.Name(span.status.code),
            "message": span.status.message,
            "resource": resource,
        }
    )


def check_parents():
    """Every parent is in another process, or has been exported."""
    known = {(span["trace"], span["id"]) for span in spans}
    return [
        f"span {span['name']!r}: its parent is nowhere"
        for span in spans
        if span["parent"] and not span["remote"] and (span["trace"], span["parent"]) not in known
    ]


def take_point(name, kind, point):
    where = f"metric {name!r}"
    check(0 < point.start_time_unix_nano <= point.time_unix_nano, f"{where}: times")
    attributes = attributes_of(point.attributes, where)
    taken = {"attributes": attributes, "start": point.start_time_unix_nano, "time": point.time_unix_nano}
    if kind != "histogram":
        number = point.WhichOneof("value")
        check(number, f"{where}: no value")
        return taken | {"value": getattr(point, number) if number else None}
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    check(len(counts) == len(bounds) + 1, f"{where}: {len(counts)} buckets, {len(bounds)} bounds")
    check(sum(counts) == point.count, f"{where}: buckets hold {sum(counts)} of {point.count}")
    check(bounds == sorted(set(bounds)), f"{where}: bounds out of order")
    check(point.HasField("sum"), f"{where}: no sum")
    return taken | {"count": point.count, "sum": point.sum, "counts": counts, "bounds": bounds}


def take_metric(metric, resource):
    kind = metric.WhichOneof("data")
    check(metric.name and metric.unit and metric.description, f"metric {metric.name!r}: it does not say what it is")
    data = getattr(metric, kind)
    if kind != "gauge":
        cumulative = metrics_messages.AGGREGATION_TEMPORALITY_CUMULATIVE
        check(data.aggregation_temporality == cumulative, f"metric {metric.name!r}: not cumulative")
    check(data.data_points, f"metric {metric.name!r}: no points")
    points = [take_point(metric.name, kind, point) for point in data.data_points]
    keys = [json.dumps(point["attributes"], sort_keys=True) for point in points]
    check(len(set(keys)) == len(keys), f"metric {metric.name!r}: the same point twice")
    metrics.append(
        {
            "name": metric.name,
            "unit": metric.unit,
            "kind": kind,
            "monotonic": kind == "sum" and data.is_monotonic,
            "points": points,
            "resource": resource,
        }
    )


def take_log(record, resource):
    if record.trace_id or record.span_id:
        check_ids(record.trace_id, record.span_id, "record")
    check(record.time_unix_nano > 0 and record.observed_time_unix_nano > 0, "record: no time")
    logs.append(
        {
            "time": record.time_unix_nano,
            "severity": logs_messages.SeverityNumber.Name(record.severity_number),
            "severity_text": record.severity_text,
            "body": value_of(record.body),
            "attributes": attributes_of(record.attributes, "record"),
            "trace": record.trace_id.hex(),
            "span": record.span_id.hex(),
            "resource": resource,
        }
    )


def take_traces(request):
    for holder in request.resource_spans:
        for scoped in holder.scope_spans:
            resource = check_origin(holder, scoped, "spans")
            for span in scoped.spans:
                take_span(span, resource)


def take_metrics(request):
    for holder in request.resource_metrics:
        for scoped in holder.scope_metrics:
            resource = check_origin(holder, scoped, "metrics")
            for metric in scoped.metrics:
                take_metric(metric, resource)


def take_logs(request):
    for holder in request.resource_logs:
        for scoped in holder.scope_logs:
            resource = check_origin(holder, scoped, "records")
            for record in scoped.log_records:
                take_log(record, resource)


# The request, what takes it, the response, and the field that says how many items were rejected.
SIGNALS = {
    "/v1/traces": (
        trace_service.ExportTraceServiceRequest,
        take_traces,
        trace_service.ExportTraceServiceResponse,
        "rejected_spans",
    ),
    "/v1/metrics": (
        metrics_service.ExportMetricsServiceRequest,
        take_metrics,
        metrics_service.ExportMetricsServiceResponse,
        "rejected_data_points",
    ),
    "/v1/logs": (
        logs_service.ExportLogsServiceRequest,
        take_logs,
        logs_service.ExportLogsServiceResponse,
        "rejected_log_records",
    ),
}


def status_message(text):
    """A google.rpc.Status with this message, byte by byte."""
    text = text.encode()
    assert len(text) < 128
    return b"\x12" + bytes([len(text)]) + text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def answer(self, status, body, headers=(), content_type="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/readyz":
            return self.answer(200, b"{}")
        with lock:
            received = {
                "spans": spans,
                "metrics": metrics,
                "logs": logs,
                "problems": problems + check_parents(),
                "requests": requests,
            }
            self.answer(200, json.dumps(received).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/behave":
            behaviours.extend(json.loads(body))
            return self.answer(200, b"{}")
        if self.path == "/release":
            released.set()
            return self.answer(200, b"{}")
        with lock:
            requests.append({"path": self.path, "headers": dict(self.headers), "bytes": len(body)})
            behaviour = behaviours.pop(0) if behaviours else {}
        if behaviour.get("hold"):
            released.wait()
        if behaviour.get("close"):
            self.close_connection = True
            return None
        return self.export(body, behaviour)

    def export(self, body, behaviour):
        protobuf = "application/x-protobuf"
        headers = behaviour.get("headers", {}).items()
        status = behaviour.get("status", 200)
        request, take, response, rejected = SIGNALS[self.path]
        if status != 200:
            said = behaviour.get("raw", "").encode() or status_message(behaviour.get("text", ""))
            said += b" " * behaviour.get("bytes", 0)
            return self.answer(status, said, headers, protobuf)
        with lock:
            check(self.headers["Content-Type"] == protobuf, f"{self.path}: {self.headers['Content-Type']!r}")
            try:
                message = request.FromString(body)
            except DecodeError as error:
                wrong(f"{self.path}: {error}")
                return self.answer(400, status_message("it cannot be read"), headers, protobuf)
            nothing_unknown(message, self.path)
            take(message)
        answer = response()
        if "partial" in behaviour:
            setattr(answer.partial_success, rejected, behaviour["partial"][0])
            answer.partial_success.error_message = behaviour["partial"][1]
        said = behaviour["raw"].encode() if "raw" in behaviour else answer.SerializeToString()
        return self.answer(200, said + b" " * behaviour.get("bytes", 0), headers, protobuf)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.serve_forever()
