"""Clients of both eras, which call tools without a pause, each call on a connection of its own.

    Load(address, host, sources)
        what has been called; `run` calls until it is cancelled
"""

import asyncio
import contextvars
import json
import time
from dataclasses import dataclass, field

LEGACY, MODERN = "2025-11-25", "2026-07-28"
CLIENTS = 20
# So many clients of each era hold a stream of notifications.
STREAMS = 10
PAUSE_SECONDS = 0.1
# So many of each era call what takes long, so that calls are under way whenever a pod ends.
SLOW_CLIENTS = 3
SLOW_SECONDS = 3
PATIENCE_SECONDS = 10
RETRY_SECONDS = 0.2
MOST_RETRIES = 50
LIST_CHANGED = b"notifications/tools/list_changed"
# From one address, the network's ports would be used again before it has forgotten them.
SOURCE = contextvars.ContextVar("SOURCE")


class Failed(Exception):
    """Why a call has failed: one of KINDS, and what was seen."""

    def __init__(self, kind, seen):
        super().__init__(f"{kind}: {seen}")
        self.kind = kind


# No connection was made; it ended before the answer did; nothing came in time; another status than 200; not what
# the tool says; the session is unknown.
KINDS = ["refused", "broken", "late", "status", "wrong", "lost"]


@dataclass
class Call:
    phase: str
    era: str
    started: float
    is_slow: bool
    seconds: float = 0.0  # of the request that was answered
    with_retries: float = 0.0  # from the first request to the answer
    to_connect: float = 0.0  # the longest of its connections, in seconds
    failures: list = field(default_factory=list)  # (when it was sent, kind, what was seen)
    is_answered: bool = False


@dataclass
class Stream:
    """One client's stream of notifications (GET, or `subscriptions/listen`), however often it was opened."""

    told: list = field(default_factory=list)  # when it was told that lists have changed


class Load:
    def __init__(self, address, host, sources):
        """`sources` are the addresses of the clients, one for each."""
        self.address, self.host, self.sources = address, host, iter(sources)
        self.phase = "start"
        self.calls = []
        self.streams = {era: [Stream() for _ in range(STREAMS)] for era in ("legacy", "modern")}
        self.answered_by = {}  # the pod that has answered last, by its tool
        self.ready = 0

    async def run(self):
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self.legacy(number))
                clients.create_task(self.modern(number))

    async def legacy(self, number):
        SOURCE.set(next(self.sources))
        headers = await self.open_session()
        async with asyncio.TaskGroup() as tasks:
            if number < STREAMS:
                tasks.create_task(self.listen(self.streams["legacy"][number], "GET", headers))
            tasks.create_task(self.keep_calling("legacy", number, headers, {}))

    async def modern(self, number):
        SOURCE.set(next(self.sources))
        client = {"name": f"modern-{number}", "version": "1"}
        meta = {"protocolVersion": MODERN, "clientInfo": client, "clientCapabilities": {}}
        meta = {"_meta": {f"io.modelcontextprotocol/{key}": value for key, value in meta.items()}}
        headers = {"MCP-Protocol-Version": MODERN}
        wanted = {"notifications": {"toolsListChanged": True}} | meta
        wanted = written({"id": "stream", "method": "subscriptions/listen", "params": wanted})
        listening = headers | {"Mcp-Method": "subscriptions/listen"}
        async with asyncio.TaskGroup() as tasks:
            if number < STREAMS:
                tasks.create_task(self.listen(self.streams["modern"][number], "POST", listening, wanted))
            tasks.create_task(self.keep_calling("modern", number, headers, meta))

    async def open_session(self):
        """The headers of a session's requests."""
        client = {"name": "load", "version": "1"}
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
        answer, _ = await self.post({"id": 0, "method": "initialize", "params": params}, {})
        headers = {"Mcp-Session-Id": answer["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
        await self.post({"method": "notifications/initialized"}, headers)
        return headers

    async def keep_calling(self, era, number, headers, params):
        # Spread over the pause.
        await asyncio.sleep(PAUSE_SECONDS * number / CLIENTS)
        self.ready += 1
        is_slow = number >= CLIENTS - SLOW_CLIENTS
        next_at, count = time.monotonic(), 0
        while True:
            tool = ["one_where", "two_where"][count % 2]
            arguments = {"message": f"{number}-{count}", "seconds": SLOW_SECONDS if is_slow else 0}
            await self.call(era, tool, arguments, headers, params)
            count += 1
            next_at = max(next_at + PAUSE_SECONDS, time.monotonic())
            await asyncio.sleep(next_at - time.monotonic())

    async def call(self, era, tool, arguments, headers, params):
        """Calls until there is an answer, and notes each failure on the way."""
        call = Call(self.phase, era, time.monotonic(), arguments["seconds"] > 0)
        self.calls.append(call)
        message = arguments["message"]
        params = {"name": tool, "arguments": arguments} | params
        request = {"id": message, "method": "tools/call", "params": params}
        if era == "modern":
            headers = headers | {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        while not call.is_answered and len(call.failures) < MOST_RETRIES:
            sent = time.monotonic()
            try:
                _, answer = await self.post(request, headers, call)
                self.check(tool, message, answer)
                now = time.monotonic()
                call.seconds, call.with_retries = now - sent, now - call.started
                call.is_answered = True
            except Failed as failed:
                call.failures.append((sent, failed.kind, str(failed)))
                await asyncio.sleep(RETRY_SECONDS)

    def check(self, tool, message, answer):
        result = answer.get("result", {})
        said = (result.get("content") or [{}])[0].get("text", "").split()
        if result.get("isError") or len(said) != 2 or said[1] != message or answer.get("id") != message:
            raise Failed("wrong", json.dumps(answer)[:300])
        self.answered_by[tool] = said[0]

    async def post(self, message, headers, call=None):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                status, headers, body = await self.exchange(written(message), headers, call)
        except TimeoutError:
            raise Failed("late", f"no answer in {PATIENCE_SECONDS} s") from None
        if status == 404:
            raise Failed("lost", body[:300])
        if status not in (200, 202):
            raise Failed("status", f"{status} {body[:300]}")
        if headers.get("content-type", "").startswith("text/event-stream"):
            # What answers is the last one.
            body = [line[5:] for line in body.splitlines() if line.startswith(b"data:") and len(line) > 6][-1]
        return headers, json.loads(body) if body else None

    async def exchange(self, body, headers, call):
        """One request on a connection of its own: status, headers and body of the answer."""
        began = time.monotonic()
        reader, writer = await self.connect("POST", headers, body)
        if call:
            call.to_connect = max(call.to_connect, time.monotonic() - began)
        try:
            status, headers = await read_head(reader)
            body = b"".join([piece async for piece in read_body(reader, headers)])
            return status, headers, body
        except (OSError, EOFError, ValueError) as error:
            raise Failed("broken", repr(error)) from error
        finally:
            writer.close()

    async def connect(self, method, headers, body=b""):
        try:
            reader, writer = await asyncio.open_connection(*self.address, local_addr=(SOURCE.get(), 0))
        except OSError as error:
            raise Failed("refused", repr(error)) from error
        lines = [f"{method} /mcp HTTP/1.1", f"Host: {self.host}", "Connection: close"]
        lines.append("Accept: " + ("text/event-stream" if method == "GET" else "application/json, text/event-stream"))
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        return reader, writer

    async def listen(self, stream, method, headers, body=b""):
        """Holds a stream, and opens it anew when it ends."""
        while True:
            try:
                reader, writer = await self.connect(method, headers, body)
                try:
                    status, answer = await read_head(reader)
                    if status == 200:
                        await self.hear(stream, read_body(reader, answer))
                finally:
                    writer.close()
            except (Failed, OSError, EOFError, ValueError):
                pass
            await asyncio.sleep(RETRY_SECONDS)

    async def hear(self, stream, pieces):
        rest = b""
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            stream.told += [time.monotonic() for line in lines if LIST_CHANGED in line]


def written(message):
    return json.dumps({"jsonrpc": "2.0"} | message).encode()


async def read_head(reader):
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, value in pairs}


async def read_body(reader, headers):
    """The pieces of a body as they come. One that is not whole is an EOFError."""
    if "chunked" not in headers.get("transfer-encoding", ""):
        yield await reader.readexactly(int(headers.get("content-length", 0)))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
