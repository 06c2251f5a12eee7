"""A server in the official Python SDK 1.x.

    python1_server.py NAME http PORT | stdio
"""

import asyncio
import sys
import weakref

from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

name, transport, *port = sys.argv[1:]
# Some clients lose what comes together with an answer.
STEP_SECONDS = 0.02
server = FastMCP(name, log_level="WARNING", port=int(port[0]) if port else 0)
counts = weakref.WeakKeyDictionary()


class Person(BaseModel):
    name: str


class Sum(BaseModel):
    sum: float


@server.tool()
def echo(message: str) -> str:
    return f"{name}: {message}"


@server.tool()
def add(a: float, b: float) -> Sum:
    return Sum(sum=a + b)


@server.tool()
def count(context: Context) -> str:
    counts[context.session] = counts.get(context.session, 0) + 1
    return str(counts[context.session])


@server.tool()
async def work(steps: int, context: Context) -> str:
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await context.info(f"step {step}")
        await asyncio.sleep(STEP_SECONDS)
    return "done"


@server.tool()
async def ask(context: Context) -> str:
    answer = await context.elicit("Who are you?", Person)
    return f"{answer.action} {answer.data.name}"


@server.tool()
async def sample(context: Context) -> str:
    asked = SamplingMessage(role="user", content=TextContent(type="text", text="a poem"))
    return (await context.session.create_message([asked], max_tokens=10)).content.text


@server.tool()
async def roots(context: Context) -> str:
    return str((await context.session.list_roots()).roots[0].uri)


def secret() -> str:
    return "the secret"


@server.tool()
async def unlock(tool: str, context: Context) -> str:
    server.add_tool(secret, name=tool)
    await context.session.send_tool_list_changed()
    return "unlocked"


@server.tool()
def grow(tool: str) -> str:
    server.add_tool(secret, name=tool)
    return "grown"


@server.resource(f"memo://{name}/note")
def note() -> str:
    return f"the note of {name}"


@server.prompt()
def greet(who: str) -> str:
    return f"Greet {who}."


server.run("streamable-http" if transport == "http" else "stdio")
