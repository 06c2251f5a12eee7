"""One client of the official Python SDK, which can do all that a server may ask of it, and remembers
every notification.

    connect(ADDRESS)  http://…/mcp, http://…/sse, or `stdio:` and a command as a JSON array
"""

import asyncio
import contextlib
import json
import sys
import traceback
from dataclasses import dataclass, field

from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

NEWEST_LEGACY = "2025-11-25"


@dataclass
class Client:
    """A session, and what a server sees of whoever sits before it."""

    prefix: str = ""
    session: ClientSession | None = None
    roots: list = field(default_factory=list)
    seen: list = field(default_factory=list)

    async def sampling(self, _context, _params):
        content = types.TextContent(type="text", text="sampled by the client")
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def elicitation(self, _context, params):
        content = None if params.mode == "url" else {"name": "Ann"}
        return types.ElicitResult(action="accept", content=content)

    async def list_roots(self, _context):
        return types.ListRootsResult(roots=self.roots)

    async def message(self, message):
        if isinstance(message, types.ServerNotification):
            self.seen.append(message.root)

    def of(self, kind):
        return [one.params for one in self.seen if isinstance(one, kind)]

    async def call(self, name, arguments=None, **options):
        """The text of a call's result."""
        calling = self.session.call_tool(self.prefix + name, arguments or {}, **options)
        result = await asyncio.wait_for(calling, 20)
        assert not result.isError, f"{name}: {result}"
        return " ".join(part.text for part in result.content if part.type == "text")


def transport_to(address):
    if address.startswith("stdio:"):
        command, *arguments = json.loads(address.removeprefix("stdio:"))
        return stdio_client(StdioServerParameters(command=command, args=arguments))
    return sse_client(address) if address.endswith("/sse") else streamablehttp_client(address)


@contextlib.asynccontextmanager
async def connect(address, prefix="", roots=None, **transport):
    client = Client(prefix, roots=roots or [types.Root(uri="file:///first", name="first")])
    opened = streamablehttp_client(address, **transport) if transport else transport_to(address)
    async with opened as (read, write, *_rest):
        async with ClientSession(
            read,
            write,
            sampling_callback=client.sampling,
            elicitation_callback=client.elicitation,
            list_roots_callback=client.list_roots,
            message_handler=client.message,
        ) as client.session:
            yield client


async def until(what, condition):
    """Waits until the condition gives something, for at most ten seconds."""
    for _attempt in range(200):
        found = condition()
        found = await found if asyncio.iscoroutine(found) else found
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not happen: {what}")


async def ask(what):
    """Asks whoever started this program to do something, and waits until it is done."""
    print(f"ask: {what}", flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    assert line == "done\n", line


async def in_order(parts, client):
    """Each part is a function; what it returns is said in the last line."""
    told = []
    for part in parts:
        try:
            said = await part(client)
        except BaseException:
            print(f"failed: {part.__name__}: {traceback.format_exc()}", flush=True)
            sys.exit(1)
        told += [said] if said else []
    print(f"said: {len(parts)} parts: {', '.join(told)}", flush=True)
