"""A client that begins with `initialize`, in the official Python SDK.

    legacy.py ADDRESS CAN [CALLS]

CAN names what a server may ask of it, with commas between: roots, sampling, elicitation. CALLS is a JSON
array of [tool, arguments, times]. Says as JSON how long it took to be listed the tools, their names, and
how many milliseconds each call took.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))

from mcp import ClientSession, types  # noqa: E402

from client import transport_to  # noqa: E402

address, can, *calls = sys.argv[1:]


async def nothing_to_sample(_context, _params):
    return types.ErrorData(code=-1, message="this client is not used for that")


async def no_input(_context, _params):
    return types.ElicitResult(action="decline")


async def no_roots(_context):
    return types.ListRootsResult(roots=[])


CALLBACKS = {
    "sampling": ("sampling_callback", nothing_to_sample),
    "elicitation": ("elicitation_callback", no_input),
    "roots": ("list_roots_callback", no_roots),
}


async def main():
    began = time.monotonic()
    callbacks = dict(CALLBACKS[one] for one in can.split(",") if one)
    async with transport_to(address) as (read, write, *_rest):
        async with ClientSession(read, write, **callbacks) as session:
            await session.initialize()
            tools, cursor = [], None
            while not tools or cursor:
                page = await session.list_tools(cursor)
                tools, cursor = tools + page.tools, page.nextCursor
            said = {"seconds": time.monotonic() - began, "tools": [tool.name for tool in tools]}
            took = {}
            for tool, arguments, times in json.loads(calls[0]) if calls else []:
                took[tool] = []
                for _ in range(times):
                    start = time.monotonic()
                    result = await session.call_tool(tool, arguments)
                    took[tool].append((time.monotonic() - start) * 1000)
                    assert not result.isError, f"{tool}: {result}"
            print(json.dumps({**said, "took": took}), flush=True)


asyncio.run(main())
