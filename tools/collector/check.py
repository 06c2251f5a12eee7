#!/usr/bin/env python3
"""Sends all telemetry of a vmcp whose load is known to an OpenTelemetry Collector, and reads what that makes of it.

    check.py --collector PATH --vmcp PATH --testkit PATH

The collector runs `deploy/observability/otel-collector.yaml` with addresses and paths of this machine; what stands for
the Tempo there is a second receiver of its own, so that traces have gone through what the file sends them with. First
every span, record and metric is held against the calls. Then the collector has no memory for a while, and refuses what
comes, which vmcp keeps. Then it is killed under more calls than vmcp keeps spans of, and started again: calls do not
notice, and all that was sent, dropped and kept adds up. Whatever this starts ends with it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))

import written  # noqa: E402
from calls import LEGACY, MODERN, TEXT, Client  # noqa: E402
from processes import Failed, Program, checking, free_port, get, wait_for  # noqa: E402

EXAMPLE = Path(__file__).parent.parent.parent / "deploy" / "observability" / "otel-collector.yaml"
NAME = "vmcp"
# What no call may take, whatever becomes of the collector.
SLOW_SECONDS = 1
# Calls of each era while there is no collector. They are two spans each: more than vmcp keeps, which is 2048 and the
# 512 that it may be sending. It keeps all of their records.
BURST = 800
MOST_WAITING, MOST_SENT = 2048, 512
# It holds more than this before it has taken anything.
FULL = {"memory_limiter": {"check_interval": "100ms", "limit_mib": 2, "spike_limit_mib": 1}}
OUTCOMES = {None: "success", "tool_error": "application_error", "denied": "denied", "invalid": "failure"}


def same(what, found, wanted):
    if found == wanted:
        return
    if isinstance(wanted, (Counter, set)):
        raise Failed(f"{what}: {found - wanted} are too many, and {wanted - found} are missing")
    raise Failed(f"{what}: it is {found}, and should be {wanted}")


class Collector:
    """A collector that runs the example, each time with files of its own but for the records, which are added to."""

    def __init__(self, program, folder, programs):
        self.program, self.folder, self.programs = program, folder, programs
        self.otlp, self.tempo, self.prometheus, self.own = (free_port() for _ in range(4))
        self.process, self.starts = None, 0

    def here(self, is_full):
        """What is different on this machine. Files beside those of the example are for reading what has come."""

        def receiver(port):
            return {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}

        def file(kind):
            return {"path": str(self.file(kind, self.starts)), "flush_interval": "100ms"}

        reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self.own}}}}
        return {
            "receivers": {"otlp": receiver(self.otlp), "otlp/tempo": receiver(self.tempo)},
            "processors": {"batch": {"timeout": "200ms"}, **(FULL if is_full else {})},
            "exporters": {
                "prometheus": {"endpoint": f"127.0.0.1:{self.prometheus}"},
                "otlp_http/traces": {"endpoint": f"http://127.0.0.1:{self.tempo}"},
                "file/logs": {"path": str(self.folder / "logs.jsonl")},
                "file/metrics": file("metrics"),
                "file/traces": file("traces"),
            },
            "service": {
                "telemetry": {"logs": {"encoding": "json"}, "metrics": {"readers": [reader]}},
                "pipelines": {
                    "metrics": {"exporters": ["prometheus", "file/metrics"]},
                    "traces/tempo": {"receivers": ["otlp/tempo"], "exporters": ["file/traces"]},
                },
            },
        }

    def start(self, is_full=False):
        """Starts it, if `is_full` as one that has memory for nothing."""
        self.starts += 1
        config = self.folder / f"here-{self.starts}.yaml"
        # YAML has JSON in it.
        config.write_text(json.dumps(self.here(is_full)), encoding="utf-8")
        command = [self.program, "--config", str(EXAMPLE), "--config", str(config)]
        self.log = self.folder / f"collector-{self.starts}.log"
        self.process = Program("the collector", command, self.log, self.otlp)
        self.programs.append(self.process)

    def file(self, kind, start):
        return self.folder / f"{kind}-{start}.jsonl"

    def files(self, kind):
        return [self.file(kind, start + 1) for start in range(self.starts)]

    def spans(self):
        return written.spans(self.files("traces"))

    def records(self):
        return written.records([self.folder / "logs.jsonl"])

    def exports(self):
        """Of each start, the metrics that it was sent."""
        return [written.exports([file]) for file in self.files("metrics")]

    def check_content(self):
        """It has refused nothing, could pass on all, and has nothing to complain of."""
        same("what the collector has lost", written.lost(get(self.own, "/metrics")), [])
        same("complaints of the collector", list(written.complaints(self.log)), [])

    def counted(self, what):
        return written.total(get(self.own, "/metrics"), f"otelcol_receiver_{what}", receiver="otlp")


class Vmcp:
    """A vmcp in front of the fixture of the conformance suite."""

    def __init__(self, program, folder, collector, backend):
        self.folder = folder
        config = folder / "vmcp.yaml"
        config.write_text(json.dumps(self.configuration(collector, backend)), encoding="utf-8")
        port = free_port()
        command = [program, "serve", "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        self.process, self.port = Program("vmcp", command, folder / "vmcp.log", port), port
        wait_for("the backend is healthy", lambda: self.metric("vmcp_backends", vmcp_backend_state="healthy") == 1)

    def configuration(self, collector, backend):
        return {
            "name": "team",
            "backends": [{"name": "fixture", "url": f"http://127.0.0.1:{backend}/mcp"}],
            "incomingAuth": {
                "type": "anonymous",
                "authz": {
                    "type": "cedar",
                    "policies": [
                        "permit(principal, action, resource);",
                        'forbid(principal, action, resource == Tool::"test_image_content");',
                    ],
                },
            },
            "aggregation": {
                "conflictResolution": "priority",
                "conflictResolutionConfig": {"priorityOrder": ["fixture"]},
            },
            "telemetry": {
                "endpoint": f"127.0.0.1:{collector.otlp}",
                "insecure": True,
                "serviceName": NAME,
                "metricsEnabled": True,
                "metricsInterval": "1s",
                "tracingEnabled": True,
                "samplingRate": "1.0",
                "enablePrometheusMetricsPath": True,
            },
            "audit": {"otlp": True},
        }

    def text(self):
        return get(self.port, "/metrics")

    def metric(self, name, **labels):
        return written.total(self.text(), name, **labels)

    def exported(self, signal):
        return self.metric("vmcp_otlp_exported_total", vmcp_signal=signal)

    def dropped(self, signal):
        return self.metric("vmcp_otlp_dropped_total", vmcp_signal=signal)


def validate(program):
    done = subprocess.run([program, "validate", "--config", EXAMPLE], capture_output=True, text=True, check=False)
    if done.returncode or done.stdout or done.stderr:
        raise Failed(f"{EXAMPLE.name} is not valid: {done.stdout}{done.stderr}")


def spans_of(made):
    """How many spans vmcp makes of requests."""
    return sum(1 + each.kind.is_sent for each in made if each.is_sampled)


def told(kind):
    return kind.name if kind.is_told else None


def check_spans(found, made):
    """Holds spans against the requests that they are of."""
    wanted = Counter()
    for each in made:
        if each.is_sampled:
            name = " ".join(filter(None, [each.kind.method, told(each.kind)]))
            wanted[(written.SERVER, name, each.kind.error, each.trace, each.parent)] += 1
            if each.kind.is_sent:
                wanted[(written.CLIENT, name, each.kind.error, each.trace, "the server's")] += 1
    traces = {each.trace for each in made if each.trace}
    servers = {span["spanId"]: span for span, _ in found if span["kind"] == written.SERVER}
    same("spans of one id", len({span["spanId"] for span, _ in found}), len(found))
    is_of = Counter()
    for span, origin in found:
        same("the name of who sends spans", origin["service.name"], NAME)
        parent = span.get("parentSpanId") or None
        if span["kind"] == written.CLIENT:
            server = servers.get(parent)
            if not server or server["traceId"] != span["traceId"] or server["name"] != span["name"]:
                raise Failed(f"the parent of {span} is {server}")
            starts, ends = ([int(each[f"{key}TimeUnixNano"]) for each in (server, span)] for key in ("start", "end"))
            if not starts[0] <= starts[1] <= ends[1] <= ends[0]:
                raise Failed(f"{span} is not within {server}")
            parent = "the server's"
        trace = span["traceId"] if span["traceId"] in traces else None
        is_of[(span["kind"], span["name"], written.attributes(span).get("error.type"), trace, parent)] += 1
    same("spans", is_of, wanted)


def check_records(found, made, spans):
    """Holds the audit log against the requests, and against their spans."""
    wanted = Counter()
    for each in made:
        name = each.kind.name or each.kind.params.get("uri")
        wanted[(each.kind.method, name, OUTCOMES[each.kind.error], each.trace)] += 1
    traces = {each.trace for each in made if each.trace}
    servers = {span["traceId"]: span["spanId"] for span, _ in spans if span["kind"] == written.SERVER}
    is_of = Counter()
    for record, origin in found:
        same("the name of who sends records", origin["service.name"], NAME)
        body = json.loads(record["body"]["stringValue"])
        trace = record["traceId"]
        same("the trace that a record names", body["metadata"]["extra"]["trace_id"], trace)
        if servers.get(trace, record["spanId"]) != record["spanId"]:
            raise Failed(f"{record} is of another span: {servers[trace]}")
        target = body["target"]
        key = (target["method"], target.get("name"), body["outcome"], trace if trace in traces else None)
        is_of[key] += 1
    same("records", is_of, wanted)


def at_vmcp(made):
    """How often requests are counted, by method, revision, tool or prompt, and error."""
    return Counter((each.kind.method, each.era, *named(each.kind), each.kind.error) for each in made)


def named(kind):
    name = told(kind)
    return (name, None) if kind.method == "tools/call" else (None, name)


def at_backend(made):
    return Counter((each.kind.method, each.kind.error) for each in made if each.kind.is_sent)


KEYS = ("mcp.method.name", "mcp.protocol.version", "gen_ai.tool.name", "gen_ai.prompt.name", "error.type")


def counted(export):
    return export.counts("mcp.server.operation.duration", *KEYS)


def check_metrics(collector, vmcp, clients):
    """Holds what was sent last against the requests, and so what Prometheus would read."""
    made, waited, last = clients.made, clients.waited(), collector.exports()[-1][-1]
    same("the name of who sends metrics", last.origin["service.name"], NAME)
    same("requests", counted(last), at_vmcp(made))
    sent = last.counts("mcp.client.operation.duration", "mcp.method.name", "error.type")
    same("requests to the backend", sent, at_backend(made))
    took = last.total("mcp.server.operation.duration")
    # What is left of a request may end after its client has the answer.
    if not 0 < took <= 2 * waited:
        raise Failed(f"requests are said to have taken {took} s, and clients have waited for {waited} s")

    text = get(collector.prometheus, "/metrics")
    found, own = ({name for name, _, _ in written.series(each)} for each in (text, vmcp.text()))
    same("names in Prometheus", found, own)
    # What alerts and the dashboard go by, if Prometheus takes over what the collector tells.
    of = {"job": NAME, "instance": last.origin["service.instance.id"]}
    requests = written.total(text, "mcp_server_operation_duration_seconds_count", **of)
    same("requests in Prometheus", requests, len(made))


def check_points(collector):
    """Each request of metrics says how many points were taken before it."""
    for exports in collector.exports():
        for before, after in zip(exports, exports[1:], strict=False):
            same("points that were exported", after.exported(), before.exported() + before.size())


def check_sums(collector, vmcp, made, expected):
    """What was produced has been taken or dropped, and what was taken has been written. So many spans are dropped."""
    produced, dropped, exported = spans_of(made), vmcp.dropped("traces"), vmcp.exported("traces")
    same("spans that were exported and dropped", exported + dropped, produced)
    same("spans that were written", len(collector.spans()), exported)
    if dropped not in expected:
        raise Failed(f"{dropped} spans were dropped, and it should be in {expected}")
    same("records that were exported", vmcp.exported("logs"), len(made))
    same("records that were dropped", vmcp.dropped("logs"), 0)
    same("records that were written", len(collector.records()), len(made))


class Clients:
    """One of each era. `made` is what they have asked for."""

    def __init__(self, port):
        self.made = []
        self.both = [Client(port, era, self.made) for era in (LEGACY, MODERN)]

    def load(self):
        for client in self.both:
            client.load()

    def burst(self):
        for _ in range(BURST):
            for client in self.both:
                if "result" not in client.ask(TEXT):
                    raise Failed("a call fails while there is no collector")

    def waited(self):
        return sum(client.waited for client in self.both)

    def slowest(self):
        return max(client.slowest for client in self.both)


def settle(collector, vmcp, made):
    """Waits until all that was not dropped is written."""

    def is_settled():
        spans = len(collector.spans()) + vmcp.dropped("traces") >= spans_of(made)
        exports = collector.exports()[-1]
        is_counted = exports and counted(exports[-1]).total() >= len(made)
        return spans and len(collector.records()) >= len(made) and is_counted

    wait_for("all is written", is_settled)


def check_calls(collector, vmcp, clients):
    """All goes well."""
    clients.load()
    settle(collector, vmcp, clients.made)
    spans = collector.spans()
    check_spans(spans, clients.made)
    check_records(collector.records(), clients.made, spans)
    check_metrics(collector, vmcp, clients)
    check_points(collector)
    check_sums(collector, vmcp, clients.made, range(1))
    same("points that were dropped", vmcp.dropped("metrics"), 0)
    same("spans that the collector has accepted", collector.counted("accepted_spans"), len(spans))
    same("records that the collector has accepted", collector.counted("accepted_log_records"), len(clients.made))
    collector.check_content()


def check_refusal(collector, vmcp, clients):
    """For a while the collector is full, and says so: vmcp keeps what it refuses, but for metrics, which come anew."""
    made = clients.made
    before, spans, records = len(made), len(collector.spans()), len(collector.records())
    collector.process.terminate(10)
    collector.start(is_full=True)
    clients.load()
    kinds = ("spans", "log_records", "metric_points")
    wait_for("all kinds are refused", lambda: all(collector.counted(f"refused_{kind}") for kind in kinds))
    collector.process.terminate(10)
    same("spans that a full collector has taken", len(collector.spans()), spans)
    collector.start()
    settle(collector, vmcp, made)
    new = collector.spans()[spans:]
    check_spans(new, made[before:])
    check_records(collector.records()[records:], made[before:], new)
    check_sums(collector, vmcp, made, range(1))
    collector.check_content()


def check_outage(collector, vmcp, clients):
    """There is no collector for a while."""
    made = clients.made
    collector.process.kill()
    before = len(made)
    clients.burst()
    if clients.slowest() > SLOW_SECONDS:
        raise Failed(f"a call took {clients.slowest()} s while there was no collector")
    wait_for("metrics are dropped", lambda: vmcp.dropped("metrics"))
    collector.start()
    settle(collector, vmcp, made)
    # How many it was sending is a matter of moments.
    most = spans_of(made[before:]) - MOST_WAITING
    dropped = range(most - MOST_SENT, most + 1)
    check_sums(collector, vmcp, made, dropped)

    # What comes now arrives, and what has come meanwhile is in the metrics.
    before, spans, records = len(made), len(collector.spans()), len(collector.records())
    clients.load()
    settle(collector, vmcp, made)
    new = collector.spans()[spans:]
    check_spans(new, made[before:])
    check_records(collector.records()[records:], made[before:], new)
    check_metrics(collector, vmcp, clients)
    check_points(collector)
    check_sums(collector, vmcp, made, dropped)
    collector.check_content()


def run(programs, arguments, folder):
    """Checks everything, and says what was seen."""
    testkit, port = arguments.testkit.resolve(), free_port()
    command = [testkit, "conformance", "--port", str(port)]
    programs.append(Program("the backend", command, folder / "backend.log", port))
    collector = Collector(arguments.collector.resolve(), folder, programs)
    validate(collector.program)
    collector.start()
    vmcp = Vmcp(arguments.vmcp.resolve(), folder, collector, port)
    programs.append(vmcp.process)
    clients = Clients(vmcp.port)
    check_calls(collector, vmcp, clients)
    check_refusal(collector, vmcp, clients)
    check_outage(collector, vmcp, clients)
    dropped = vmcp.dropped("traces")
    # Nothing is told twice as vmcp ends.
    vmcp.process.terminate(10)
    collector.process.terminate(10)
    same("records that were written in the end", len(collector.records()), len(clients.made))
    same("spans that were written in the end", len(collector.spans()), spans_of(clients.made) - dropped)
    same("requests in the end", counted(collector.exports()[-1][-1]), at_vmcp(clients.made))
    return (
        f"{len(clients.made)} requests, {len(collector.spans())} spans and {dropped:.0f} that were dropped;"
        f" the slowest call took {1000 * clients.slowest():.0f} ms"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, what in [("collector", "the collector"), ("vmcp", "vmcp"), ("testkit", "vmcp-testkit")]:
        parser.add_argument(f"--{name}", required=True, type=Path, help=f"the binary of {what}")
    arguments = parser.parse_args()
    start = time.monotonic()
    with checking("collector") as (programs, folder):
        seen = run(programs, arguments, folder)
    print(f"the collector was told all, in {time.monotonic() - start:.0f} s: {seen}")


if __name__ == "__main__":
    main()
