"""The round that every client of Python does, and how it is asked for.

    run(connect)

`connect(job)` opens a connection as the job says and gives a peer: `era`, `told`, `progress` and
`logs`, whether it `hears` of list changes, and the methods that are used below. Each line of standard input is a job, each line of
standard output what came of it; what a connection does outside a step is on standard error.
"""

import asyncio
import json
import sys
import time
import traceback

# The tools that every server has from the beginning.
TOOLS = "echo add count work ask sample roots unlock grow".split()
STEP_SECONDS = 20
# What is sent before an answer, or with it, may be read a moment after it.
SETTLE_SECONDS = 3


class Refused(Exception):
    """A peer's answer that is an error; the text says of which kind."""


async def until(condition, seconds=SETTLE_SECONDS):
    """Waits for something that the peer has been sent already."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return condition()


async def whole_list(ask, what):
    """Every page of a list."""
    found, cursor = [], None
    while True:
        page = await ask(cursor)
        found += getattr(page, what)
        cursor = getattr(page, "nextCursor", None) or getattr(page, "next_cursor", None)
        if not cursor:
            return found


def texts(content):
    return " ".join(part.text for part in content if part.type == "text")


class Round:
    """One connection and what came of each step."""

    def __init__(self, peer, job):
        self.peer, self.job, self.prefix, self.seen = peer, job, job["prefix"], {}

    async def call(self, named, **arguments):
        text, _structured = await self.peer.call(self.prefix + named, arguments)
        return text

    async def step(self, name, does):
        try:
            self.seen[name] = await asyncio.wait_for(does(), STEP_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            self.seen[name] = "error: nothing in time"
        except Refused as refused:
            self.seen[name] = f"error: {refused}"
        except Exception as error:
            traceback.print_exception(error)
            self.seen[name] = f"error: {type(error).__name__}"

    async def run(self):
        self.seen["era"] = self.peer.era
        for name in "list resource prompt echo add count work ask sample roots unlock grow".split():
            await self.step(name, getattr(self, name))
        return self.seen

    async def names(self):
        every = await self.peer.tools()
        return [name.removeprefix(self.prefix) for name in every if name.startswith(self.prefix)]

    async def list(self):
        # Other clients have left tools of their own on a server that all share.
        return ",".join(name for name in await self.names() if name in TOOLS)

    async def resource(self):
        uri = f"memo://{self.job['server']}/note"
        listed = uri in await self.peer.resources()
        return f"{'listed' if listed else 'not listed'}; {await self.peer.read(uri)}"

    async def prompt(self):
        name = self.prefix + "greet"
        listed = name in await self.peer.prompts()
        return f"{'listed' if listed else 'not listed'}; {await self.peer.prompt(name, {'who': 'Ann'})}"

    async def echo(self):
        return await self.call("echo", message="hello")

    async def add(self):
        _text, structured = await self.peer.call(self.prefix + "add", {"a": 2, "b": 3})
        return f"{(structured or {}).get('sum'):g}"

    async def count(self):
        return ",".join([await self.call("count") for _ in range(3)])

    async def work(self):
        self.peer.progress = self.peer.logs = 0
        text = await self.call("work", steps=3)
        await until(lambda: self.peer.progress >= 3 and self.peer.logs >= 3)
        return f"{text}; progress {self.peer.progress}, logs {self.peer.logs}"

    async def ask(self):
        return await self.call("ask")

    async def sample(self):
        return await self.call("sample")

    async def roots(self):
        return await self.call("roots")

    async def unlock(self):
        """A tool that appears in mid-session, is listed, and can be called."""
        secret = f"secret_{self.job['mark']}"
        self.peer.told = 0
        said = [await self.call("unlock", tool=secret)]
        is_told = self.peer.hears and await until(lambda: self.peer.told)
        said.append("told" if is_told else "not told")
        end = time.monotonic() + SETTLE_SECONDS
        while (listed := secret in await self.names()) is False and time.monotonic() < end:
            await asyncio.sleep(0.1)
        said.append("listed" if listed else "not listed")
        try:
            said.append(await self.call(secret))
        except Refused as refused:
            said.append(f"error: {refused}")
        return "; ".join(said)

    async def grow(self):
        return await self.call("grow", tool=f"grown_{self.job['mark']}")


async def done(connect, job):
    answer = None
    try:
        async with asyncio.timeout(job["seconds"]):
            async with connect(job) as peer:
                if job["do"] == "list":
                    answer = {"tools": await peer.tools()}
                else:
                    answer = await Round(peer, job).run()
    except Exception as error:
        # Some SDKs break down over what a server still says while they close.
        traceback.print_exception(error)
        return answer or {"failed": type(error).__name__}
    return answer


async def serve(connect):
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await done(connect, json.loads(line))), flush=True)


def run(connect):
    asyncio.run(serve(connect))
