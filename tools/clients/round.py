"""The whole round of the official Python SDK against npm's server-everything, through vmcp.

    round.py VMCP_URL SERVER_PID_FILE RESTART_COMMAND...

The last part ends the server and starts it again: the session must go on.
"""

import asyncio
import os
import signal
import subprocess
import sys

from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamablehttp_client

PREFIX = "everything_"
seen = []


async def sampling(_context, _params):
    content = types.TextContent(type="text", text="sampled by the client")
    return types.CreateMessageResult(role="assistant", content=content, model="test")


async def elicitation(_context, _params):
    return types.ElicitResult(action="accept", content={"name": "Ann"})


async def roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///work", name="work")])


async def messages(message):
    if isinstance(message, types.ServerNotification):
        seen.append(type(message.root).__name__)


async def call(session, name, arguments, **options):
    result = await asyncio.wait_for(session.call_tool(PREFIX + name, arguments, **options), 30)
    assert not result.isError, result
    return " ".join(part.text for part in result.content if part.type == "text")


async def once_back(session):
    """A call that fails for as long as the server is away, and no longer."""
    for _attempt in range(100):
        try:
            return await call(session, "echo", {"message": "again"})
        except McpError as error:
            print(f"  meanwhile: {error}")
            await asyncio.sleep(0.2)
    raise AssertionError("the session did not go on")


async def walk(url, restart):
    async with streamablehttp_client(url) as (read, write, _session_id):
        async with ClientSession(
            read,
            write,
            sampling_callback=sampling,
            elicitation_callback=elicitation,
            list_roots_callback=roots,
            message_handler=messages,
        ) as session:
            hello = await session.initialize()
            assert hello.protocolVersion == "2025-11-25", hello
            assert hello.capabilities.tools and hello.capabilities.completions, hello
            tools = [tool.name for tool in (await session.list_tools()).tools]
            assert tools == sorted(tools) and all(name.startswith(PREFIX) for name in tools), tools
            assert "hello" in await call(session, "echo", {"message": "hello"})

            progress = []

            async def report(done, total, _message):
                progress.append((done, total))

            long = {"duration": 1, "steps": 4}
            await call(session, "trigger-long-running-operation", long, progress_callback=report)
            assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)], progress

            asked = {"prompt": "say something", "maxTokens": 10}
            assert "sampled by the client" in await call(session, "trigger-sampling-request", asked)
            assert "Ann" in await call(session, "trigger-elicitation-request", {})
            assert "file:///work" in await call(session, "get-roots-list", {})

            resource = (await session.list_resources()).resources[0].uri
            assert (await session.read_resource(resource)).contents[0].text
            assert (await session.list_resource_templates()).resourceTemplates
            dynamic = await session.read_resource("demo://resource/dynamic/text/1")
            assert dynamic.contents[0].text
            await session.subscribe_resource(resource)
            await session.unsubscribe_resource(resource)

            prompts = [prompt.name for prompt in (await session.list_prompts()).prompts]
            assert PREFIX + "simple-prompt" in prompts, prompts
            assert (await session.get_prompt(PREFIX + "simple-prompt")).messages
            reference = types.PromptReference(type="ref/prompt", name=PREFIX + "completable-prompt")
            argument = {"name": "department", "value": ""}
            completed = await session.complete(reference, argument)
            assert completed.completion.values, completed
            await session.set_logging_level("debug")
            await session.send_ping()

            restart()
            assert "again" in await once_back(session)
    print(f"{len(tools)} tools, {len(prompts)} prompts; notifications: {sorted(set(seen))}")


def main():
    url, pid_file, *command = sys.argv[1:]

    def restart():
        with open(pid_file, encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(pid_file, "w", encoding="ascii") as file:
            file.write(str(server.pid))

    asyncio.run(walk(url, restart))


main()
