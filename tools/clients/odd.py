"""The official Python SDK of the legacy era reads lists among whose items are odd ones.

    odd.py ADDRESS legacy
"""

import asyncio
import sys

from client import connect
from parts import in_order

address, era = sys.argv[1:]
assert era == "legacy"


async def lists(client):
    session = client.session
    await session.initialize()
    tools = (await session.list_tools()).tools
    resources = (await session.list_resources()).resources
    templates = (await session.list_resource_templates()).resourceTemplates
    prompts = (await session.list_prompts()).prompts
    return " ".join(item.name for kind in (tools, resources, templates, prompts) for item in kind)


async def main():
    async with connect(address) as client:
        await in_order([lists], client)


asyncio.run(main())
