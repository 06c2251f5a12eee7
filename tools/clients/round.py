"""The whole round of the official Python SDK against server-everything.

    round.py ADDRESS PREFIX [direct]

`direct` takes in what vmcp cannot do, and leaves out what only vmcp promises: that the session
outlives the server.
"""

import asyncio
import base64
import gzip
import os
import sys

from mcp import McpError, types

from client import NEWEST_LEGACY, connect
from parts import ask, in_order, until

DOCUMENT = "demo://resource/static/document/features.md"


async def hello(client):
    hello = await client.session.initialize()
    assert hello.protocolVersion == NEWEST_LEGACY, hello
    offered = hello.capabilities
    assert offered.tools and offered.resources.subscribe and offered.prompts, offered
    assert offered.logging is not None and offered.completions is not None, offered
    await client.session.send_ping()


async def lists(client):
    session, prefix = client.session, client.prefix
    tools = [tool.name for tool in (await session.list_tools()).tools]
    assert all(name.startswith(prefix) for name in tools), tools
    for name in ("echo", "get-roots-list", "trigger-elicitation-request"):
        assert prefix + name in tools, tools
    resources = [str(one.uri) for one in (await session.list_resources()).resources]
    assert DOCUMENT in resources, resources
    templates = (await session.list_resource_templates()).resourceTemplates
    assert any("{resourceId}" in one.uriTemplate for one in templates), templates
    prompts = [prompt.name for prompt in (await session.list_prompts()).prompts]
    assert prefix + "simple-prompt" in prompts, prompts
    return f"{len(tools)} tools, {len(resources)} resources, {len(prompts)} prompts"


async def calls(client):
    assert "grüß dich" in await client.call("echo", {"message": "grüß dich"})
    assert "5.5" in await client.call("get-sum", {"a": 2, "b": 3.5})
    named = client.prefix + "get-structured-content"
    weather = await client.session.call_tool(named, {"location": "Chicago"})
    assert weather.structuredContent["temperature"] == 36, weather
    image = await client.session.call_tool(client.prefix + "get-tiny-image", {})
    data = next(part.data for part in image.content if part.type == "image")
    assert base64.b64decode(data)[1:4] == b"PNG"
    assert (await client.session.call_tool(client.prefix + "get-sum", {"a": "two"})).isError


async def unknown_tool(client):
    # A server may say so in a result, which is what server-everything does; a gateway cannot.
    try:
        assert (await client.session.call_tool(client.prefix + "no-such-tool", {})).isError
    except McpError as refused:
        assert refused.error.code == -32602, refused


async def reads(client):
    async def read(uri):
        return (await client.session.read_resource(uri)).contents[0]

    assert "# " in (await read(DOCUMENT)).text
    assert (await read("demo://resource/dynamic/text/7")).text.startswith("Resource 7")
    blob = (await read("demo://resource/dynamic/blob/7")).blob
    assert base64.b64decode(blob).startswith(b"Resource 7")
    try:
        raise AssertionError(await read("demo://nowhere"))
    except McpError as refused:
        assert refused.error.code in (-32002, -32602), refused


async def prompts(client):
    prompt = client.session.get_prompt
    assert (await prompt(client.prefix + "simple-prompt")).messages[0].content.text
    place = {"city": "Linz", "state": "Upper Austria"}
    asked = await prompt(client.prefix + "args-prompt", place)
    assert "Linz, Upper Austria" in asked.messages[0].content.text, asked


async def completion(client):
    async def values(reference, name, value, context=None):
        argument = {"name": name, "value": value}
        return (await client.session.complete(reference, argument, context)).completion.values

    named = client.prefix + "completable-prompt"
    prompt = types.PromptReference(type="ref/prompt", name=named)
    assert await values(prompt, "department", "E") == ["Engineering"]
    assert await values(prompt, "name", "D", {"department": "Sales"}) == ["David"]
    uri = "demo://resource/dynamic/text/{resourceId}"
    template = types.ResourceTemplateReference(type="ref/resource", uri=uri)
    assert await values(template, "resourceId", "5") == ["5"]


async def progress(client):
    steps = []

    async def step(done, total, _message):
        steps.append((done, total))

    long = {"duration": 0.8, "steps": 4}
    await client.call("trigger-long-running-operation", long, progress_callback=step)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)], steps


async def questions(client):
    asked = {"prompt": "say something", "maxTokens": 10}
    assert "sampled by the client" in await client.call("trigger-sampling-request", asked)
    assert "Ann" in await client.call("trigger-elicitation-request")
    page = {"url": "https://example.org/sign", "elicitationId": "sign"}
    assert "completed" in await client.call("trigger-url-elicitation", page)


async def url_required(client):
    """The error of a server arrives with its data, and the same call goes on once it is dealt with."""
    page = {"url": "https://example.org/sign", "errorPath": True}
    try:
        raise AssertionError(await client.call("trigger-url-elicitation", page))
    except McpError as refused:
        assert refused.error.code == -32042, refused
        assert refused.error.data["elicitations"][0]["url"] == "https://modelcontextprotocol.io"
    assert "completed" in await client.call("trigger-url-elicitation", page)


async def roots(client):
    assert "file:///first" in await client.call("get-roots-list")
    client.roots.append(types.Root(uri="file:///second", name="second"))
    await client.session.send_roots_list_changed()

    async def second():
        return "second" in await client.call("get-roots-list")

    await until("the server asks for the roots again", second)


async def cancelled(client):
    steps = []

    async def step(done, _total, _message):
        steps.append(done)

    # The SDK has no word for it; the request that comes next has the session's next number.
    number = client.session._request_id
    long = {"duration": 0.9, "steps": 9}
    call = client.call("trigger-long-running-operation", long, progress_callback=step)
    call = asyncio.create_task(call)
    await until("the call is under way", lambda: steps)
    params = types.CancelledNotificationParams(requestId=number, reason="enough")
    notification = types.CancelledNotification(params=params)
    await client.session.send_notification(types.ClientNotification(notification))
    await asyncio.wait([call], timeout=1.2)
    answered = call.done() and not call.exception()
    assert not answered, f"a cancelled call is not answered: {call}"
    call.cancel()
    assert "still here" in await client.call("echo", {"message": "still here"})


def updates(client):
    return client.of(types.ResourceUpdatedNotification)


async def subscriptions(client):
    await client.session.subscribe_resource(DOCUMENT)
    await client.call("toggle-subscriber-updates")
    (update, *_more) = await until("a resource is updated", lambda: updates(client))
    assert str(update.uri) == DOCUMENT, update
    await client.call("toggle-subscriber-updates")


def subscribed(client):
    messages = client.of(types.LoggingMessageNotification)
    return any("Received Subscribe" in message.data for message in messages)


async def logging(client):
    await client.session.set_logging_level("debug")
    client.seen.clear()
    await client.session.subscribe_resource(DOCUMENT)
    await until("the server logs", lambda: subscribed(client))
    await client.session.set_logging_level("error")
    client.seen.clear()
    await client.session.subscribe_resource(DOCUMENT)
    await asyncio.sleep(0.3)
    assert not subscribed(client), "the level is kept"
    await client.session.set_logging_level("debug")


async def list_changed(client):
    client.seen.clear()
    name = f"python-{os.getpid()}.gz"
    await client.call("gzip-file-as-resource", {"name": name, "data": "data:text/plain,packed"})
    changed = types.ResourceListChangedNotification
    await until("the list of resources changed", lambda: client.of(changed))
    uri = f"demo://resource/session/{name}"

    async def listed():
        resources = (await client.session.list_resources()).resources
        return any(str(one.uri) == uri for one in resources)

    await until("the new resource is listed", listed)
    blob = (await client.session.read_resource(uri)).contents[0].blob
    assert gzip.decompress(base64.b64decode(blob)) == b"packed"


async def outlives_the_server(client):
    """The server dies and comes back: level and subscriptions are as they were."""
    await client.session.subscribe_resource(DOCUMENT)
    await client.session.set_logging_level("error")
    await ask("restart")
    failures = 0

    async def back():
        nonlocal failures
        try:
            return "again" in await client.call("echo", {"message": "again"})
        except McpError as error:
            print(f"meanwhile: {error}", flush=True)
            failures += 1
            assert failures <= 1, "the server is back, so at most one call fails"

    await until("the session goes on", back)
    client.seen.clear()
    await client.call("toggle-subscriber-updates")
    await until("the subscription was replayed", lambda: updates(client))
    await client.session.unsubscribe_resource(DOCUMENT)
    await asyncio.sleep(0.3)
    messages = client.of(types.LoggingMessageNotification)
    assert not messages, f"the level was replayed: {messages}"
    return f"after kill -9 {failures} call failed"


PARTS = [
    hello,
    lists,
    calls,
    unknown_tool,
    reads,
    prompts,
    completion,
    progress,
    questions,
    url_required,
    roots,
    cancelled,
    subscriptions,
    logging,
]


async def main():
    address, prefix, *direct = sys.argv[1:]
    async with connect(address, prefix) as client:
        await in_order(PARTS + [list_changed if direct else outlives_the_server], client)


asyncio.run(main())
