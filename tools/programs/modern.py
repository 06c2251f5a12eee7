"""A client in its default mode, in the official Python SDK 2.x: it finds the modern era by itself.

    modern.py ADDRESS [CALLS]

CALLS is a JSON array of [tool, arguments, times]. Says the same as legacy.py, and the text that the last
call of each tool brought.
"""

import asyncio
import json
import sys
import time

from mcp import Client

address, *calls = sys.argv[1:]


async def main():
    began = time.monotonic()
    async with Client(address, mode="auto", read_timeout_seconds=60) as client:
        assert client.protocol_version == "2026-07-28", client.protocol_version
        tools, cursor = [], None
        while not tools or cursor:
            page = await client.list_tools(cursor=cursor)
            tools, cursor = tools + page.tools, page.next_cursor
        said = {"seconds": time.monotonic() - began, "tools": [tool.name for tool in tools]}
        took, texts = {}, {}
        for tool, arguments, times in json.loads(calls[0]) if calls else []:
            took.setdefault(tool, [])
            for _ in range(times):
                start = time.monotonic()
                result = await client.call_tool(tool, arguments)
                took[tool].append((time.monotonic() - start) * 1000)
                texts[tool] = " ".join(part.text for part in result.content if part.type == "text")
                assert not result.is_error, f"{tool}: {result}"
        print(json.dumps({**said, "took": took, "texts": texts}), flush=True)


asyncio.run(main())
