"""The official Python SDK in front of six servers at once.

    mixed.py ADDRESS FOLDER REPOSITORY

Leaves its session open, and the servers of it busy: whoever ends vmcp has to end them too.
"""

import asyncio
import sys
from pathlib import Path

from mcp import types

from client import connect
from parts import in_order, until

address, folder, repository = sys.argv[1:]
EVERYTHING = ("http", "sse", "stdio")
SERVERS = (*EVERYTHING, "filesystem", "git", "time")


async def lists(client):
    await client.session.initialize()

    async def all_there():
        tools = (await client.session.list_tools()).tools
        return {tool.name.split("_")[0] for tool in tools} == set(SERVERS) and tools

    # A backend that is slow to start is announced when it has come.
    tools = await until("the tools of all six are listed", all_there)
    prompts = {prompt.name for prompt in (await client.session.list_prompts()).prompts}
    assert {f"{one}_simple-prompt" for one in EVERYTHING} <= prompts, prompts
    uris = [str(one.uri) for one in (await client.session.list_resources()).resources]
    assert len(uris) == len(set(uris)) and uris, uris
    for uri in uris:
        assert (await client.session.read_resource(uri)).contents
    return f"{len(tools)} tools"


async def files(client):
    # The server is started with another folder; it takes this one from the client's roots, which it
    # asks for once its session is open.
    path = str(Path(folder, "python.txt"))

    async def allowed():
        return folder in await client.call("filesystem_list_allowed_directories")

    await until("the server knows the client's roots", allowed)
    await client.call("filesystem_write_file", {"path": path, "content": "written\n"})
    assert "written" in await client.call("filesystem_read_text_file", {"path": path})
    assert Path(path).read_text(encoding="utf-8") == "written\n"


async def clock(client):
    asked = {"source_timezone": "Europe/Vienna", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    assert "Asia/Tokyo" in await client.call("time_convert_time", asked)
    assert "UTC" in await client.call("time_get_current_time", {"timezone": "UTC"})


async def versions(client):
    assert "The first commit" in await client.call("git_git_log", {"repo_path": repository})
    assert "clean" in await client.call("git_git_status", {"repo_path": repository})


async def at_once(client):
    """A question from each of three servers, while each has another call under way."""
    long = {"duration": 0.6, "steps": 3}
    calls = [client.call(f"{one}_trigger-long-running-operation", long) for one in EVERYTHING]
    calls += [client.call(f"{one}_trigger-elicitation-request") for one in EVERYTHING]
    calls += [client.call(f"{one}_echo", {"message": one}) for one in EVERYTHING for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert all("Ann" in answer for answer in answers[3:6]), answers[3:6]
    for call, answer in enumerate(answers[6:]):
        assert answer == f"Echo: {EVERYTHING[call // 20]}", answer
    return f"{len(calls)} calls at once"


async def left_busy(client):
    for one in EVERYTHING:
        await client.call(f"{one}_toggle-simulated-logging")


async def main():
    root = types.Root(uri=Path(folder).as_uri(), name="folder")
    async with connect(address, roots=[root], terminate_on_close=False) as client:
        await in_order([lists, files, clock, versions, at_once, left_busy], client)


asyncio.run(main())
