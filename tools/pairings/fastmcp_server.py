"""A server in FastMCP 3 and 4; the fourth is of both eras.

    fastmcp_server.py NAME http PORT | stdio
"""

import asyncio
import sys
from dataclasses import dataclass

import fastmcp
from fastmcp import Context, FastMCP
from fastmcp.tools import Tool

name, transport, *port = sys.argv[1:]
# Some clients lose what comes together with an answer.
STEP_SECONDS = 0.02
server = FastMCP(name)


@dataclass
class Person:
    name: str


@dataclass
class Sum:
    sum: float


@server.tool
def echo(message: str) -> str:
    return f"{name}: {message}"


@server.tool
def add(a: float, b: float) -> Sum:
    return Sum(sum=a + b)


@server.tool
async def count(context: Context) -> str:
    value = (await context.get_state("count") or 0) + 1
    await context.set_state("count", value)
    return str(value)


@server.tool
async def work(steps: int, context: Context) -> str:
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await context.info(f"step {step}")
        await asyncio.sleep(STEP_SECONDS)
    return "done"


if fastmcp.__version__.startswith("3"):
    from mcp.types import SamplingMessage, TextContent, ToolListChangedNotification

    @server.tool
    async def ask(context: Context) -> str:
        answer = await context.elicit("Who are you?", Person)
        return f"{answer.action} {answer.data.name}"

    @server.tool
    async def sample(context: Context) -> str:
        return (await context.sample("a poem", max_tokens=10)).text

    @server.tool
    async def roots(context: Context) -> str:
        return str((await context.list_roots())[0].uri)

    async def tell(context):
        await context.send_notification(ToolListChangedNotification())

else:
    import mcp_types as types
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

    # In the modern era a tool answers with its question, and is called again with what was said; in
    # the legacy one it asks while it runs.
    POEM = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="a poem"))
    WHO = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

    def is_modern(context):
        return context.request_context.protocol_version in MODERN_PROTOCOL_VERSIONS

    async def answered(context, asked, ask):
        """What the client says, in either era; first the question itself, in the modern one."""
        if not is_modern(context):
            return await ask()
        if not context.input_responses:
            return types.InputRequiredResult(input_requests={"it": asked})
        return context.input_responses["it"]

    @server.tool
    async def ask(context: Context) -> str | types.InputRequiredResult:
        params = types.ElicitRequestFormParams(message="Who are you?", requested_schema=WHO)
        legacy = lambda: context.session.elicit(
            message="Who are you?", requested_schema=WHO, related_request_id=context.request_id
        )
        said = await answered(context, types.ElicitRequest(params=params), legacy)
        if isinstance(said, types.InputRequiredResult):
            return said
        return f"{said.action} {said.content['name']}"

    @server.tool
    async def sample(context: Context) -> str | types.InputRequiredResult:
        params = types.CreateMessageRequestParams(messages=[POEM], max_tokens=10)
        legacy = lambda: context.session.create_message([POEM], max_tokens=10)
        said = await answered(context, types.CreateMessageRequest(params=params), legacy)
        return said if isinstance(said, types.InputRequiredResult) else said.content.text

    @server.tool
    async def roots(context: Context) -> str | types.InputRequiredResult:
        said = await answered(context, types.ListRootsRequest(), context.session.list_roots)
        return said if isinstance(said, types.InputRequiredResult) else str(said.roots[0].uri)

    async def tell(context):
        await context.session.send_tool_list_changed()


def secret() -> str:
    return "the secret"


@server.tool
async def unlock(tool: str, context: Context) -> str:
    server.add_tool(Tool.from_function(secret, name=tool))
    await tell(context)
    return "unlocked"


@server.tool
async def grow(tool: str) -> str:
    server.add_tool(Tool.from_function(secret, name=tool))
    return "grown"


@server.resource(f"memo://{name}/note")
def note() -> str:
    return f"the note of {name}"


@server.prompt
def greet(who: str) -> str:
    return f"Greet {who}."


if transport == "http":
    server.run("http", port=int(port[0]), show_banner=False, log_level="warning")
else:
    server.run("stdio", show_banner=False, log_level="warning")
