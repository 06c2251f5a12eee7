"""A client of the official Python SDK whose replicas die while it works.

    lasting.py ADDRESS PREFIX

It counts on one session, and says how many calls failed.
"""

import asyncio
import sys
import time

from mcp import McpError

from client import connect, in_order

SECONDS = 8


async def counts(client):
    end = time.monotonic() + SECONDS
    count, failed, unsure = 0, 0, 0
    await client.session.initialize()
    while time.monotonic() < end:
        try:
            said = int(await asyncio.wait_for(client.call("count"), 5))
        except (McpError, TimeoutError) as error:
            # The replica died that had the call, which may have run.
            print(f"meanwhile: {error!r}", flush=True)
            failed += 1
            unsure += 1
            continue
        assert count < said <= count + 1 + unsure, f"{said} after {count}: it begins anew"
        count, unsure = said, 0
    assert count > 100, count
    assert failed <= 4, f"{failed} calls failed"
    return f"counted to {count}, {failed} calls failed"


async def main():
    address, prefix = sys.argv[1:]
    async with connect(address, prefix) as client:
        await in_order([counts], client)


asyncio.run(main())
