"""One client of the official Python SDK, which can do all that a server may ask of it, and remembers
every notification.

    connect(ADDRESS)  http://…/mcp, http://…/sse, or `stdio:` and a command as a JSON array
"""

import asyncio
import contextlib
import json
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
