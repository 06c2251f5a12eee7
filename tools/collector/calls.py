"""Clients of both eras whose calls are known, and what is to come of each."""

import contextlib
import http.client
import json
import secrets
import time
from dataclasses import dataclass

from processes import Failed

LEGACY, MODERN = "2025-11-25", "2026-07-28"
META = "io.modelcontextprotocol/"
TYPES = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
CLIENT = {"name": "check", "version": "1"}


@dataclass(frozen=True)
class Kind:
    """A request, and what it comes to."""

    method: str
    params: dict
    # What it is about, as metrics and the names of spans have it.
    name: str | None = None
    error: str | None = None
    is_sent: bool = True
    # Whether vmcp tells its name in metrics.
    is_told: bool = True


def tool(name, **more):
    return Kind("tools/call", {"name": name, "arguments": {}}, name, **more)


TEXT = tool("test_simple_text")
# How often each is called in each era, and where its traceparent is: "head", "meta", or nowhere. One that is
# "unsampled" says that its trace is not recorded.
LOAD = [
    (TEXT, None, 12),
    (TEXT, "head", 5),
    (TEXT, "meta", 6),
    (TEXT, "unsampled", 3),
    (tool("test_error_handling", error="tool_error"), "head", 4),
    (tool("test_image_content", error="denied", is_sent=False, is_told=False), "head", 2),
    (tool("no_such_tool", error="invalid", is_sent=False, is_told=False), None, 3),
    (Kind("prompts/get", {"name": "test_simple_prompt"}, "test_simple_prompt"), "meta", 2),
    (Kind("resources/read", {"uri": "test://static-text"}, is_told=False), "head", 2),
    (Kind("tools/list", {}, is_sent=False), None, 1),
]
INITIALIZE = Kind("initialize", {}, is_sent=False)
INITIALIZED = Kind("notifications/initialized", {}, is_sent=False)


@dataclass(frozen=True)
class Made:
    """A request that was made."""

    kind: Kind
    era: str
    # Of its traceparent, if it had one.
    trace: str | None = None
    parent: str | None = None
    is_sampled: bool = True


class Client:
    """One of either era, which adds what it asks for to `made`. It has waited so many seconds, for one so many at most."""

    def __init__(self, port, era, made):
        self.era, self.made, self.session = era, made, None
        self.waited, self.slowest = 0, 0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if era == LEGACY:
            hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
            head, _ = self.post({"id": 0, "method": "initialize", "params": hello}, TYPES)
            self.session = head["mcp-session-id"]
            self.post({"method": "notifications/initialized"}, self.head(INITIALIZED))
            self.made += [Made(INITIALIZE, era), Made(INITIALIZED, era)]

    def head(self, kind):
        head = {**TYPES, "MCP-Protocol-Version": self.era}
        if self.era == LEGACY:
            return {**head, "Mcp-Session-Id": self.session}
        about = kind.params.get("name") or kind.params.get("uri")
        return {**head, "Mcp-Method": kind.method, **({"Mcp-Name": about} if about else {})}

    def post(self, message, head):
        """Sends a message, and returns the head of its answer and all of it."""
        start = time.monotonic()
        self.connection.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", **message}), head)
        response = self.connection.getresponse()
        body = response.read()
        took = time.monotonic() - start
        self.waited, self.slowest = self.waited + took, max(self.slowest, took)
        return response.headers, body

    def ask(self, kind, where=None):
        """Asks for something, in a trace of its own if `where` says so, and returns its answer."""
        meta = {}
        if self.era == MODERN:
            meta = {META + "protocolVersion": MODERN, META + "clientInfo": CLIENT, META + "clientCapabilities": {}}
        head, made = self.head(kind), Made(kind, self.era)
        if where:
            made = Made(kind, self.era, secrets.token_hex(16), secrets.token_hex(8), where != "unsampled")
            traceparent = f"00-{made.trace}-{made.parent}-{made.is_sampled:02x}"
            (meta if where == "meta" else head)["traceparent"] = traceparent
        params = {**({"_meta": meta} if meta else {}), **kind.params}
        _, body = self.post({"id": len(self.made) + 1, "method": kind.method, "params": params}, head)
        self.made.append(made)
        return answer_of(body)

    def load(self):
        """Makes all requests of the load; what goes wrong is what is to."""
        for kind, where, times in LOAD:
            for _ in range(times):
                answer = self.ask(kind, where)
                is_right = "error" in answer if kind.error in ("denied", "invalid") else "result" in answer
                if not is_right:
                    raise Failed(f"{kind.method} {kind.name} of {self.era} is answered with {answer}")


def answer_of(body):
    """The JSON of an answer, which may be the last event of a stream."""
    text = body.decode()
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(text)
    return json.loads([line for line in text.splitlines() if line.startswith("data: {")][-1].removeprefix("data: "))
