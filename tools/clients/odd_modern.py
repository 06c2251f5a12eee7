"""The official Python SDK of the modern era, as a client of either, reads lists among whose items are odd
ones.

    odd_modern.py ADDRESS ERA

ERA is legacy or modern.
"""

import asyncio
import sys

from mcp import Client
from parts import in_order

address, era = sys.argv[1:]


async def lists(client):
    tools = (await client.list_tools()).tools
    resources = (await client.list_resources()).resources
    templates = (await client.list_resource_templates()).resource_templates
    prompts = (await client.list_prompts()).prompts
    return " ".join(item.name for kind in (tools, resources, templates, prompts) for item in kind)


async def main():
    mode = {"legacy": "legacy", "modern": "auto"}[era]
    async with Client(address, mode=mode, read_timeout_seconds=20) as client:
        assert client.protocol_version == {"legacy": "2025-11-25", "modern": "2026-07-28"}[era]
        await in_order([lists], client)


asyncio.run(main())
