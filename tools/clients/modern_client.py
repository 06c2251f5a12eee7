"""One client of the modern era in the official Python SDK, which can do all that a server may ask
of it.

    connect(ADDRESS)  speaks the modern era, or nothing
"""

import contextlib
from dataclasses import dataclass, field

import mcp_types as types
from mcp import Client as SdkClient

MODERN = "2026-07-28"


@dataclass
class Client:
    """The SDK's client, and what a server sees of whoever sits before it."""

    sdk: SdkClient | None = None
    asked: list = field(default_factory=list)
    logged: list = field(default_factory=list)

    async def sampling(self, _context, params):
        self.asked.append("sampling")
        content = types.TextContent(type="text", text=f"re: {params.messages[0].content.text}")
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def elicitation(self, _context, _params):
        self.asked.append("elicitation")
        return types.ElicitResult(action="accept", content={"name": "Ann"})

    async def list_roots(self, _context):
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri="file:///first", name="first")])

    async def log(self, params):
        self.logged.append(params)

    async def call(self, name, arguments=None, **options):
        """The text of a call's result."""
        result = await self.sdk.call_tool(name, arguments or {}, 20, **options)
        assert not result.is_error, f"{name}: {result}"
        return " ".join(part.text for part in result.content if part.type == "text")


@contextlib.asynccontextmanager
async def connect(address):
    client = Client()
    async with SdkClient(
        address,
        mode="auto",
        read_timeout_seconds=20,
        log_level="info",
        logging_callback=client.log,
        sampling_callback=client.sampling,
        elicitation_callback=client.elicitation,
        list_roots_callback=client.list_roots,
    ) as client.sdk:
        assert client.sdk.protocol_version == MODERN, client.sdk.protocol_version
        yield client
