"""The official Python SDK of the modern era before servers of both eras, as a client of either.

    across.py ADDRESS ERA NAME...

ERA is legacy or modern; each NAME is a backend that is a modern_server.*, and `old` is a
server-everything. Declares nothing that a server could ask for, which those of the other era could
not be told. The last word that it says is a digest of all that it has listed.
"""

import asyncio
import hashlib
import os
import sys
from itertools import groupby

import mcp_types as types
from mcp import Client

from parts import ask, in_order, until, whole

address, era, *names = sys.argv[1:]
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
digest = hashlib.sha256()
changes = []


async def pages(ask_for, member):
    async def all_of_it():
        found, cursor = [], ""
        while cursor is not None:
            page = await ask_for(cursor=cursor, cache_mode="bypass")
            found += getattr(page, member)
            cursor = page.next_cursor
        return found

    return await whole(all_of_it)


async def call(client, name, arguments=None, **options):
    result = await client.call_tool(name, arguments or {}, 20, **options)
    assert not result.is_error, f"{name}: {result}"
    return " ".join(part.text for part in result.content if part.type == "text")


def backend_of(key):
    """Whose it is that a name or URI leads to."""
    return next((name for name in names if key.removeprefix("memo://").startswith(name)), "old")


async def lists(client):
    assert client.protocol_version == VERSIONS[era], client.protocol_version
    tools = [one.name for one in await pages(client.list_tools, "tools")]
    resources = [one.uri for one in await pages(client.list_resources, "resources")]
    templates = await pages(client.list_resource_templates, "resource_templates")
    prompts = [one.name for one in await pages(client.list_prompts, "prompts")]
    for keys in (tools, resources, [one.uri_template for one in templates], prompts):
        # The backends in the order of the configuration, and none of them missing.
        backends = [backend_of(key) for key in keys]
        assert [name for name, _keys in groupby(backends)] == [*names, "old"], keys
        digest.update("\n".join([*keys, ""]).encode())
    # All that are at it have read the same lists before one of them changes something.
    await ask("the others")


async def calls(client):
    assert "hello" in await call(client, "old_echo", {"message": "hello"})
    for name in names:
        assert await call(client, f"{name}_echo", {"message": "hello"}) == f"{name}: hello"
        added = await client.call_tool(f"{name}_add", {"a": 1, "b": 2})
        assert added.structured_content == {"sum": 3}, added
        # py serves older revisions itself, which have no such header.
        header = None if (era, name) == ("legacy", "py") else "west"
        west = await call(client, f"{name}_region", {"region": "west"})
        assert west == f"west in {header}", west


async def reads(client):
    document = await client.read_resource("demo://resource/static/document/features.md")
    assert "# " in document.contents[0].text
    for name in names:
        note = await client.read_resource(f"memo://{name}/note/7")
        assert note.contents[0].text == "note 7", note


async def prompts(client):
    place = {"city": "Linz", "state": "Upper Austria"}
    asked = await client.get_prompt("old_args-prompt", place)
    assert "Linz, Upper Austria" in asked.messages[0].content.text, asked
    for name in names:
        prompt = types.PromptReference(type="ref/prompt", name=f"{name}_greet")
        completed = await client.complete(prompt, {"name": "who", "value": "An"})
        assert completed.completion.values == ["Ann", "Anton"], completed


async def progress(client):
    async def steps(tool, arguments):
        seen = []

        async def step(done, total, _message):
            seen.append((done, total))

        await call(client, tool, arguments, progress_callback=step)
        return seen

    long = {"duration": 0.4, "steps": 2}
    assert await steps("old_trigger-long-running-operation", long) == [(1, 2), (2, 2)]
    for name in names:
        assert await steps(f"{name}_work", {"steps": 2}) == [(1, 2), (2, 2)]


async def grow(client, announced):
    for name in names:
        grown = f"grown_{os.getpid()}"
        await call(client, f"{name}_grow", {"tool": grown})
        await until("the list of tools changed", announced)

        async def listed():
            tools = await pages(client.list_tools, "tools")
            return any(tool.name == f"{name}_{grown}" for tool in tools)

        await until("the new tool is listed", listed)


async def list_changed(client):
    if era == "legacy":
        await grow(client, lambda: changes)
        return digest.hexdigest()
    async with client.listen(tools_list_changed=True) as subscription:
        await grow(client, lambda: asyncio.wait_for(anext(subscription), 10))
    return digest.hexdigest()


async def message(message):
    if isinstance(message, types.ToolListChangedNotification):
        changes.append(message)


async def main():
    mode = {"legacy": "legacy", "modern": "auto"}[era]
    async with Client(address, mode=mode, read_timeout_seconds=20, message_handler=message) as client:
        await in_order([lists, calls, reads, prompts, progress, list_changed], client)


asyncio.run(main())
