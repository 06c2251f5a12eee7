"""A client of the official Python SDK whose replicas die while it works.

    lasting.py ADDRESS PREFIX

It counts on one session, and says how many calls failed. This SDK ends its whole client when a call
is answered with 502, as a balancer does that had sent it to a replica that died; it begins anew then.
"""

import asyncio
import sys
import time

import httpx
from mcp import McpError

from client import connect
from parts import in_order

SECONDS = 8
END = time.monotonic() + SECONDS


async def counts(client):
    began, count, failed, unsure = time.monotonic(), 0, 0, 0
    await client.session.initialize()
    while time.monotonic() < END:
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
    # One that began shortly before the end has not counted far.
    assert count > 100 or END - began < 2, count
    assert failed <= 4, f"{failed} calls failed"
    return f"counted to {count}, {failed} calls failed"


def gave_up(error):
    """Whether the SDK ended because a call was answered with 502."""
    if isinstance(error, BaseExceptionGroup):
        return any(gave_up(one) for one in error.exceptions)
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 502


async def main():
    address, prefix = sys.argv[1:]
    for _attempt in range(4):
        try:
            async with connect(address, prefix) as client:
                await in_order([counts], client)
            return
        except BaseExceptionGroup as error:
            if not gave_up(error):
                raise
            print("meanwhile: the SDK gave up at 502; a new client begins", flush=True)
    raise AssertionError("replicas die every two seconds, so few clients give up")


asyncio.run(main())
