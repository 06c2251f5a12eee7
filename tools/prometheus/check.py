#!/usr/bin/env python3
"""Asks a real Prometheus the ten questions of docs/observability.md about a vmcp whose load is known.

    check.py --vmcp PATH

It needs `prometheus`, `promtool` and `redis-server` (Debian's packages prometheus and redis-server). It starts vmcp
in front of three programs (backend.py) and of a URL at which nothing listens, calls tools, and compares what
Prometheus answers with what was called. Then records are lost, and Redis ends, and it asks again. All that is in
`deploy/observability` is checked too. Whatever it starts ends with it.

The same calls are made twice: once before Prometheus first looks, so that every series is there by then, and once
after. `increase` and `rate` extrapolate beyond what Prometheus has seen, which `Growth` does likewise.
"""

import argparse
import http.client
import json
import math
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from functools import partial
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))

from processes import Failed, Program, checking, free_port, get, wait_for  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DEPLOY = ROOT / "deploy" / "observability"
PAGE = ROOT / "docs" / "observability.md"
NAME = re.compile(r"\b(?:mcp|vmcp|toolhive|process)_[a-z0-9_]+")

# What is called in each of the two rounds: a tool, how often, and how that ends.
LOAD = [
    ("github_search", 12, "success"),
    ("github_read", 8, "success"),
    ("github_delete", 4, "denied"),
    ("jira_report", 10, "success"),
    ("jira_fail", 3, "application_error"),
    ("jira_refuse", 2, "application_error"),
    ("wiki_read", 5, "error"),
]
CALLS = {tool: times for tool, times, _outcome in LOAD}
SESSIONS, STREAMS = 3, 2
# The limit of each that the page takes for granted.
MOST_SESSIONS, MOST_STREAMS = 100_000, 20_000
LOST = 7
SLOW_SECONDS = 0.25
SERVER, CLIENT = (f"mcp_{side}_operation_duration_seconds" for side in ("server", "client"))
BOUNDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, math.inf]


def configuration(folder, nowhere, redis):
    def program(name, *tools):
        command = {"command": sys.executable, "args": [str(HERE / "backend.py"), *tools]}
        return {"name": name, **command}

    return {
        "name": "team",
        "backends": [
            program("github", "search", "read", "delete"),
            program("jira", "report", "fail", "refuse"),
            program("wiki", "read", "die"),
            {"name": "slack", "url": f"http://127.0.0.1:{nowhere}/mcp"},
        ],
        "incomingAuth": {
            "type": "anonymous",
            "authz": {
                "type": "cedar",
                "policies": [
                    "permit(principal, action, resource);",
                    'forbid(principal, action, resource == Tool::"github_delete");',
                ],
            },
        },
        "aggregation": {
            "conflictResolution": "prefix",
            "conflictResolutionConfig": {"prefixFormat": "{workload}_"},
        },
        "operational": {
            # A breaker that has opened stays so.
            "failureHandling": {
                "circuitBreaker": {"enabled": True, "failureThreshold": 2, "timeout": "1h"}
            }
        },
        "sessionStorage": {
            "provider": "redis",
            "address": f"127.0.0.1:{redis}",
            "dialTimeout": "1s",
            "commandTimeout": "1s",
        },
        "telemetry": {"enablePrometheusMetricsPath": True},
        "audit": {"logFile": str(folder / "audit.log")},
    }


class Session:
    """One of a legacy client."""

    def __init__(self, port):
        self.port, self.id, self.connection = port, None, None
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "check", "version": "1"},
        }
        self.id = self.send({"id": 0, "method": "initialize", "params": hello})["mcp-session-id"]
        self.send({"method": "notifications/initialized"})

    def head(self):
        also = {"Mcp-Session-Id": self.id, "MCP-Protocol-Version": "2025-11-25"} if self.id else {}
        types = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        return {**types, **also}

    def send(self, message):
        """Sends a message, reads all of the answer, and returns its head."""
        self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"jsonrpc": "2.0", **message})
        self.connection.request("POST", "/mcp", body, self.head())
        response = self.connection.getresponse()
        response.read()
        return response.headers

    def call(self, tool):
        """Calls a tool, and says how long that took."""
        start = time.monotonic()
        self.send({"id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
        return time.monotonic() - start

    def listen(self):
        """Opens a stream, which stays open as long as what is returned."""
        stream = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        stream.request("GET", "/mcp", headers=self.head())
        answer = stream.getresponse()
        if answer.status != 200:
            raise Failed(f"a stream was answered with {answer.status}")
        return stream, answer


def load(session):
    """Makes all calls once, and says how long they took."""
    return sum(session.call(tool) for tool, times in CALLS.items() for _ in range(times))


def series(text, name, **labels):
    """What the text of metrics says of each series that has these labels."""
    found = {}
    for line in text.splitlines():
        if re.match(rf"{name}[{{ ]", line) and all(f'{key}="{of}"' in line for key, of in labels.items()):
            of, _, number = line.rpartition(" ")
            found[of] = float(number)
    return found


def value(text, name, **labels):
    """The same, added up."""
    return sum(series(text, name, **labels).values())


class Growth:
    """By how much series have grown between two texts of vmcp, as Prometheus extrapolates it.

    It adds half of the time between two looks, unless the series would have been below zero then. `is_new` is for
    how versions from 3 on do the latter.
    """

    def __init__(self, before, after, looks, is_new=False):
        self.before, self.after, self.looks, self.is_new = before, after, looks, is_new

    def of(self, name, **labels):
        before = series(self.before, name, **labels)
        after = series(self.after, name, **labels)
        return sum(self.extrapolated(before.get(key, 0), last) for key, last in after.items())

    def extrapolated(self, first, last):
        grown, steps = last - first, self.looks - 1
        if not grown:
            return 0
        to_zero = steps * first / grown
        more = min(0.5, to_zero) if self.is_new else to_zero if to_zero < 1.1 else 0.5
        return grown * (1 + more / steps)


class Answers:
    """A Prometheus, asked at the moment of one of its looks."""

    def __init__(self, port):
        self.port = port

    def ask(self, query, at=None):
        asked = urllib.parse.urlencode({"query": query, **({"time": at} if at else {})})
        answer = json.loads(get(self.port, f"/api/v1/query?{asked}"))
        if answer["status"] != "success":
            raise Failed(f"{answer['error']}: {query}")
        result = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            return {(): float(result[1])}
        wanted = ("instance", "job")
        return {
            tuple(sorted((k, v) for k, v in series["metric"].items() if k not in wanted)): float(
                series["value"][1]
            )
            for series in result
        }

    def look(self):
        """When it has looked last, or nothing."""
        return self.ask("timestamp(vmcp_uptime_seconds)").get(())

    def settle(self, after):
        """Waits until it has looked after a moment, and three times in all."""

        def has_looked():
            at = self.look()
            looks = at and at > after and self.ask("count_over_time(vmcp_uptime_seconds[1h])", at)[()]
            return looks and looks >= 3 and (at, looks)

        self.at, self.looks = wait_for("Prometheus looks", has_looked)
        # By how much it extrapolates what has grown as much as there was before.
        self.stretch = 1 + 0.5 / (self.looks - 1)

    def now(self, query):
        return self.ask(query, self.at)


def questions():
    """The queries of the page by the number of their question."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^### (\d+)\. ", text, flags=re.MULTILINE)[1:]
    found = {}
    for number, part in zip(parts[::2], parts[1::2], strict=True):
        part = re.split(r"^##+ ", part, flags=re.MULTILINE)[0]
        found[int(number)] = [query.strip() for query in re.findall(r"```promql\n(.*?)```", part, re.DOTALL)]
    if sorted(found) != list(range(1, 11)) or not all(found.values()):
        raise Failed(f"the page has the questions {sorted(found)}")
    return found


def expect(question, found, wanted):
    """Compares an answer; a number may be told by its bounds."""
    problems = []
    for key in sorted(set(found) | set(wanted)):
        of, bounds = found.get(key), wanted.get(key)
        if bounds is not None and not isinstance(bounds, tuple):
            bounds = (bounds - 1e-6 * max(1, abs(bounds)), bounds + 1e-6 * max(1, abs(bounds)))
        if of is None or bounds is None or not bounds[0] <= of <= bounds[1]:
            problems.append(f"{dict(key)} is {of}, and should be {bounds}")
    if problems:
        raise Failed(f"question {question}: " + "; ".join(problems))


def labels(**names):
    return tuple(sorted(names.items()))


def quantile(part, buckets):
    """As Prometheus's documentation describes `histogram_quantile`."""
    counts = [buckets(le="+Inf" if bound == math.inf else f"{bound:g}") for bound in BOUNDS]
    rank = part * counts[-1]
    place = next(place for place, count in enumerate(counts) if count >= rank)
    start, below = (BOUNDS[place - 1], counts[place - 1]) if place else (0, 0)
    if BOUNDS[place] == math.inf:
        return start
    return start + (BOUNDS[place] - start) * (rank - below) / (counts[place] - below)


def between(numbers):
    return min(numbers) - 1e-6, max(numbers) + 1e-6


def check_answers(answers, asked, before, after, waited):
    """Holds the answers to all ten questions against the load.

    Times are nobody's to know beforehand: they are held against vmcp's own text from before and after the second
    round, and against how long the client has waited beyond what the slow tool took.
    """
    increase = answers.stretch
    reached = [tool for tool, _times, outcome in LOAD if outcome != "denied"]
    of_tools = {labels(tool=tool): CALLS[tool] * increase for tool in reached}
    expect(1, answers.now(asked[1][0]), {**of_tools, labels(tool="wiki_die"): 0})

    sent = CALLS["jira_report"] + CALLS["jira_fail"] + CALLS["jira_refuse"]
    wrong = CALLS["jira_fail"] + CALLS["jira_refuse"]
    # What an open breaker refuses is sent to no backend: of nothing, no part failed.
    found = {of: part for of, part in answers.now(asked[2][0]).items() if not math.isnan(part)}
    expect(2, found, {labels(target_workload_name="jira"): wrong / sent})
    of_wiki = CALLS["wiki_read"] * increase
    expect(2, answers.now(asked[2][1]), {
        labels(error_type="backend"): of_wiki,
        labels(error_type="denied"): CALLS["github_delete"] * increase,
    })

    both = [Growth(before, after, answers.looks, is_new) for is_new in (False, True)]
    slow = [quantile(0.95, partial(each.of, SERVER + "_bucket", gen_ai_tool_name="github_search")) for each in both]
    expect(3, answers.now(asked[3][0]), {(): between(slow)})
    if min(slow) < SLOW_SECONDS:
        raise Failed(f"the slow tool is said to take {slow} s")

    calls = {"mcp_method_name": "tools/call"}
    own = [
        (each.of(SERVER + "_sum", **calls) - each.of(CLIENT + "_sum", **calls)) / each.of(SERVER + "_count", **calls)
        for each in both
    ]
    expect(4, answers.now(asked[4][0]), {(): between(own)})
    # What is left of a request may end after its client has the answer.
    if not 0 <= min(own) <= 2 * waited / sum(CALLS.values()):
        raise Failed(f"vmcp is said to have taken {own} s of a call, and clients have waited {waited} s in all")

    # A breaker may have opened for the one that is out, too.
    out = {labels(vmcp_backend="wiki"): 1, labels(vmcp_backend="slack"): (1, 1000)}
    expect(5, answers.now(asked[5][0]), out)

    for query, wanted in zip(asked[6], [
        {(): SESSIONS / MOST_SESSIONS},
        {(): STREAMS / MOST_STREAMS},
        {labels(vmcp_budget=name): 0 for name in ("request_bodies", "unread_answers")},
    ], strict=True):
        expect(6, answers.now(query), wanted)

    denied = {labels(mcp_method_name="tools/call"): CALLS["github_delete"] * increase}
    expect(7, answers.now(asked[7][0]), denied)
    expect(8, answers.now(asked[8][0]), {(): 1})
    expect(9, answers.now(asked[9][0]), {(): 0})
    expect(10, answers.now(asked[10][0]), {(): 0})
    expect(10, answers.now(asked[10][1]), {(): (1 << 20, 1 << 32)})


def records(folder):
    text = (folder / "audit.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def check_records(folder, dies):
    """Holds the audit log against the load."""
    expected = sorted([
        *((tool, outcome) for tool, times, outcome in LOAD for _ in range(2 * times)),
        *[("wiki_die", "error")] * dies,
    ])

    def found():
        calls = [record for record in records(folder) if record["type"] == "mcp_tool_call"]
        return sorted((record["target"]["name"], record["outcome"]) for record in calls)

    wait_for("as many records as calls", lambda: len(found()) >= len(expected))
    if found() != expected:
        raise Failed(f"the records are of {found()}, and should be of {expected}")


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode or text is not None and (done.stdout or done.stderr):
        raise Failed(f"promtool {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")


def expressions():
    """What the dashboard and the alerts ask for."""
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = {"$__rate_interval": "5m", "$__range": "1h", "$instance": ".+", "$job": "vmcp"}
    for target in targets:
        text = target["expr"]
        for variable, stands_for in variables.items():
            text = text.replace(variable, stands_for)
        yield text


def check_deployed(answers):
    """Checks what stands in `deploy/observability`: it is well formed, and asks for what there is."""
    promtool("check", "config", "--syntax-only", DEPLOY / "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", DEPLOY / "alerts.yml")
    promtool("test", "rules", DEPLOY / "alerts.test.yml")
    all_expressions = list(expressions())
    for expression in all_expressions:
        answers.ask(expression)
    table = PAGE.read_text(encoding="utf-8").partition("<!-- metrics: generated -->")[2].partition("<!-- end -->")[0]
    known = {name for row in table.splitlines() for name in re.findall(r"^\| `([a-z0-9_]+)`", row)}
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}
    asked = "\n".join([*all_expressions, (DEPLOY / "alerts.yml").read_text(encoding="utf-8")])
    unknown = set(NAME.findall(asked)) - known - LABELS
    if unknown:
        raise Failed(f"there are no such metrics: {', '.join(sorted(unknown))}")


# Names of labels, which look like those of metrics.
LABELS = {
    "mcp_method_name",
    "mcp_protocol_version",
    "vmcp_backend",
    "vmcp_backend_state",
    "vmcp_breaker_state",
    "vmcp_budget",
    "vmcp_signal",
    "vmcp_connection_state",
}


def start_prometheus(folder, target):
    port = free_port()
    scraped = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
        "scrape_configs": [{"job_name": "vmcp", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    # YAML has JSON in it.
    (folder / "prometheus.yml").write_text(json.dumps(scraped), encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Program("prometheus", command, folder / "prometheus.log", port)


def run(vmcp, folder, programs):
    asked = questions()
    port, redis_port = free_port(), free_port()
    silent = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    redis = Program(
        "redis-server",
        ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", *silent],
        folder / "redis.log",
        redis_port,
    )
    programs.append(redis)
    config = folder / "vmcp.yaml"
    config.write_text(json.dumps(configuration(folder, free_port(), redis_port)), encoding="utf-8")
    command = [vmcp, "serve", "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    server = Program("vmcp", command, folder / "vmcp.log", port)
    programs.append(server)

    def metrics(name, **of):
        return value(get(port, "/metrics"), name, **of)

    healthy = {"vmcp_backend_state": "healthy"}
    wait_for("three backends are healthy", lambda: metrics("vmcp_backends", **healthy) == 3)
    sessions = [Session(port) for _ in range(SESSIONS)]
    streams = [session.listen() for session in sessions[:STREAMS]]
    caller = sessions[-1]
    dies = 0
    while not metrics("vmcp_backend_breaker", vmcp_backend="wiki", vmcp_breaker_state="open"):
        caller.call("wiki_die")
        dies += 1
        if dies > 20:
            raise Failed("the breaker does not open")
    load(caller)
    failing = {"vmcp_backend": "slack"}
    wait_for("a backend is out", lambda: metrics("vmcp_backend_failing_checks", **failing) >= 3)
    total = sum(CALLS.values())
    done = {"mcp_method_name": "tools/call"}

    def has_counted(calls):
        return metrics("mcp_server_operation_duration_seconds_count", **done) == calls + dies

    wait_for("all calls are counted", lambda: has_counted(total))
    before = get(port, "/metrics")
    prometheus = start_prometheus(folder, port)
    programs.append(prometheus)
    answers = Answers(prometheus.port)
    wait_for("Prometheus is ready", lambda: "is Ready" in get(prometheus.port, "/-/ready"))
    wait_for("Prometheus has looked", answers.look)
    waited = load(caller) - CALLS["github_search"] * SLOW_SECONDS
    wait_for("all calls are counted again", lambda: has_counted(2 * total))
    after = get(port, "/metrics")
    answers.settle(time.time())
    check_answers(answers, asked, before, after, waited)
    check_records(folder, dies)
    promtool("check", "metrics", text=get(port, "/metrics"))
    check_deployed(answers)
    lose_records(folder, server, caller, answers, asked, metrics)
    lose_redis(redis, answers, asked)
    for stream, _answer in streams:
        stream.close()


def lose_records(folder, server, caller, answers, asked, metrics):
    """Puts a file in the place of the audit log that is full, and asks how many records are lost."""
    (folder / "audit.log").rename(folder / "audit.log.1")
    (folder / "audit.log").symlink_to("/dev/full")
    server.process.send_signal(signal.SIGHUP)
    wait_for("the configuration is read again", lambda: metrics("vmcp_configuration_reloads_total") == 1)
    for _ in range(LOST):
        caller.call("github_read")
    wait_for("records are lost", lambda: metrics("vmcp_audit_dropped_total") == LOST)
    answers.settle(time.time())
    # From nothing, so that it does not extrapolate beyond what it has seen.
    expect(9, answers.now(asked[9][0]), {(): (LOST, LOST * answers.stretch + 1e-6)})


def lose_redis(redis, answers, asked):
    redis.terminate(10)
    wait_for("the store is out of reach", lambda: answers.ask(asked[8][0]) == {(): 0})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmcp", required=True, type=Path, help="the binary")
    vmcp = str(parser.parse_args().vmcp.resolve())
    start = time.monotonic()
    with checking("prometheus") as (programs, folder):
        run(vmcp, folder, programs)
    print(f"ten questions were answered rightly, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
