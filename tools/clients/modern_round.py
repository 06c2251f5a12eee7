"""The whole round of the modern era: the official Python SDK before modern_server.*

    modern_round.py ADDRESS NAME [direct]

NAME is that of one server, as a backend of vmcp and in its URIs. Others may stand beside it, but
where it is spoken to directly.
"""

import asyncio
import os
import sys

import mcp_types as types
from mcp import MCPError
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged

from modern_client import MODERN, connect
from parts import in_order, until, whole

address, name, *direct = sys.argv[1:]
MEMO = f"memo://{name}"


def named(tool):
    return tool if direct else f"{name}_{tool}"


async def hello(client):
    offered = client.sdk.server_capabilities
    assert offered.tools and offered.resources and offered.prompts and offered.completions, offered
    found = await client.sdk.session.discover()
    assert MODERN in found.supported_versions, found
    assert f"This is {name}." in found.instructions, found


async def pages(ask, member):
    """All of a list, and how many pages it has come in."""

    async def all_of_it():
        found, cursor, count = [], None, 0
        while cursor is not None or count == 0:
            page = await ask(cursor=cursor, cache_mode="bypass")
            found += getattr(page, member)
            cursor, count = page.next_cursor, count + 1
        return found, count

    return await whole(all_of_it)


async def lists(client):
    tools, count = await pages(client.sdk.list_tools, "tools")
    names = [tool.name for tool in tools]
    for tool in ("echo", "add", "region", "ask", "ask_all", "wait", "touch"):
        assert named(tool) in names, names
    assert len(names) == len(set(names)), names
    assert count > 1 or direct, "the list has pages"
    resources, _count = await pages(client.sdk.list_resources, "resources")
    assert f"{MEMO}/static" in [one.uri for one in resources], resources
    templates, _count = await pages(client.sdk.list_resource_templates, "resource_templates")
    assert f"{MEMO}/note/{{number}}" in [one.uri_template for one in templates], templates
    prompts, _count = await pages(client.sdk.list_prompts, "prompts")
    assert named("greet") in [prompt.name for prompt in prompts], prompts
    return f"{len(names)} tools in {count} pages"


async def calls(client):
    assert await client.call(named("echo"), {"message": "grüß dich"}) == f"{name}: grüß dich"
    added = await client.sdk.call_tool(named("add"), {"a": 2, "b": 3.5})
    assert added.structured_content == {"sum": 5.5}, added
    try:
        raise AssertionError(await client.sdk.call_tool(named("no_such_tool"), {}))
    except MCPError as refused:
        assert refused.code == types.INVALID_PARAMS, refused


async def headers(client):
    """A parameter that stands in a header too, with what a header cannot hold as it is."""
    assert await client.call(named("region"), {"region": "west"}) == "west in west"
    coded = await client.call(named("region"), {"region": "Österreich"})
    assert coded == "Österreich in =?base64?w5ZzdGVycmVpY2g=?=", coded


async def reads(client):
    async def read(uri):
        return (await client.sdk.read_resource(uri)).contents[0].text

    assert await read(f"{MEMO}/static") == f"the memo of {name}"
    assert await read(f"{MEMO}/note/7") == "note 7"
    try:
        raise AssertionError(await read("memo://nowhere"))
    except MCPError as refused:
        assert refused.code == types.INVALID_PARAMS, refused


async def prompts(client):
    greeting = await client.sdk.get_prompt(named("greet"), {"who": "Bob"})
    assert greeting.messages[0].content.text == "Greet Bob.", greeting
    interview = await client.sdk.get_prompt(named("interview"))
    assert interview.messages[0].content.text == "Interview Ann.", interview
    prompt = types.PromptReference(type="ref/prompt", name=named("greet"))
    completed = await client.sdk.complete(prompt, {"name": "who", "value": "An"})
    assert completed.completion.values == ["Ann", "Anton"], completed


async def questions(client):
    client.asked.clear()
    assert await client.call(named("ask")) == "You are Ann"
    said = await client.call(named("ask_all"))
    assert said == "Ann, re: A poem about Ann, file:///first", said
    assert client.asked.count("elicitation") == 2, client.asked
    assert sorted(client.asked)[2:] == ["roots", "sampling"], client.asked


async def progress(client):
    steps = []

    async def step(done, total, message):
        steps.append((done, total, message))

    client.logged.clear()
    assert await client.call(named("work"), {"steps": 3}, progress_callback=step) == "done"
    assert steps == [(number, 3, f"step {number}") for number in (1, 2, 3)], steps
    said = [params.data for params in client.logged]
    assert said == ["step 1", "step 2", "step 3"], f"what is below the level is not sent: {said}"


async def cancelled(client):
    steps = []

    async def step(done, _total, _message):
        steps.append(done)

    before = int(await client.call(named("cancelled")))
    call = asyncio.create_task(client.call(named("wait"), progress_callback=step))
    await until("the call is under way", lambda: steps)
    call.cancel()

    async def known():
        return int(await client.call(named("cancelled"))) == before + 1

    await until("the server knows that nobody waits", known)


async def subscriptions(client):
    counter = f"{MEMO}/counter"
    grown = f"grown_{os.getpid()}"
    filters = {"tools_list_changed": True, "resource_subscriptions": [counter]}
    async with client.sdk.listen(**filters) as subscription:
        honored = subscription.honored
        assert honored.tools_list_changed, honored
        assert honored.resource_subscriptions == [counter], honored
        touched = await client.call(named("touch"))
        event = await asyncio.wait_for(anext(subscription), 10)
        assert event == ResourceUpdated(uri=counter), event
        read = await client.sdk.read_resource(counter)
        assert int(read.contents[0].text) >= int(touched), read
        await client.call(named("grow"), {"tool": grown})

        async def announced():
            return await asyncio.wait_for(anext(subscription), 10) == ToolsListChanged()

        await until("the list of tools changed", announced)

        async def listed():
            tools, _count = await pages(client.sdk.list_tools, "tools")
            return any(tool.name == named(grown) for tool in tools)

        await until("the new tool is listed", listed)
    await client.call(named(grown))


PARTS = [hello, lists, calls, headers, reads, prompts, questions, progress, cancelled, subscriptions]


async def main():
    async with connect(address) as client:
        await in_order(PARTS, client)


asyncio.run(main())
