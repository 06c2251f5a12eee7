"""A server in the official Python SDK 2.x, of both eras.

    python2_server.py NAME http PORT | stdio
"""

import asyncio
import sys
import weakref
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp_types import CreateMessageResult, ListRootsResult, SamplingMessage, TextContent
from pydantic import BaseModel

name, transport, *port = sys.argv[1:]
# Some clients lose what comes together with an answer.
STEP_SECONDS = 0.02
server = MCPServer(name, log_level="WARNING")
counts = weakref.WeakKeyDictionary()


class Person(BaseModel):
    name: str


class Sum(BaseModel):
    sum: float


@server.tool()
async def echo(message: str) -> str:
    return f"{name}: {message}"


@server.tool()
async def add(a: float, b: float) -> Sum:
    return Sum(sum=a + b)


@server.tool()
async def count(context: Context) -> str:
    """The modern era has no sessions: there each call counts for itself."""
    connection = context.session._connection
    counts[connection] = counts.get(connection, 0) + 1
    return str(counts[connection])


@server.tool()
async def work(steps: int, context: Context) -> str:
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await context.info(f"step {step}")
        await asyncio.sleep(STEP_SECONDS)
    return "done"


async def who() -> Elicit[Person]:
    return Elicit("Who are you?", Person)


async def poem() -> Sample:
    content = TextContent(type="text", text="a poem")
    return Sample([SamplingMessage(role="user", content=content)], max_tokens=10)


async def folders() -> ListRoots:
    return ListRoots()


@server.tool()
async def ask(person: Annotated[Person, Resolve(who)]) -> str:
    return f"accept {person.name}"


@server.tool()
async def sample(poem: Annotated[CreateMessageResult, Resolve(poem)]) -> str:
    return poem.content.text


@server.tool()
async def roots(folders: Annotated[ListRootsResult, Resolve(folders)]) -> str:
    return str(folders.roots[0].uri)


async def secret() -> str:
    return "the secret"


@server.tool()
async def unlock(tool: str, context: Context) -> str:
    server.add_tool(secret, name=tool)
    # One for each era.
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "unlocked"


@server.tool()
async def grow(tool: str) -> str:
    server.add_tool(secret, name=tool)
    return "grown"


@server.resource(f"memo://{name}/note")
def note() -> str:
    return f"the note of {name}"


@server.prompt()
def greet(who: str) -> str:
    return f"Greet {who}."


if transport == "http":
    server.run("streamable-http", port=int(port[0]))
else:
    server.run("stdio")
