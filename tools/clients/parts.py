"""What every client here is made of: parts that go one after the other, and words with main.py."""

import asyncio
import sys
import traceback


async def until(what, condition):
    """Waits until the condition gives something, for at most ten seconds."""
    for _attempt in range(200):
        found = condition()
        found = await found if asyncio.iscoroutine(found) else found
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not happen: {what}")


async def whole(ask_for):
    """What gives a list of some pages; anew where the list changed between two, as the error says."""
    while True:
        try:
            return await ask_for()
        except Exception as refused:
            if "list from the start" not in str(refused):
                raise


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
