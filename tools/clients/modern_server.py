"""A server of the modern era in the official Python SDK, which has one of everything.

    modern_server.py NAME PORT

modern_server.mjs offers the same. NAME stands in its URIs, so that two of them do not meet.
"""

import asyncio
import sys
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp_types import (
    Completion,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

name, port = sys.argv[1], int(sys.argv[2])
server = MCPServer(name, instructions=f"This is {name}.", log_level="WARNING")
state = {"touched": 0, "cancelled": 0, "waiting": 0}


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
async def region(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})], context: Context
) -> str:
    """The SDK sees that the header says what the argument does. Clients of older revisions send none."""
    return f"{region} in {context.headers.get('mcp-param-region')}"


@server.tool()
async def work(steps: int, context: Context) -> str:
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await context.info(f"step {step}")
        await context.debug("nobody asked for this")
    return "done"


async def who() -> Elicit[Person]:
    return Elicit("Who are you?", Person)


@server.tool()
async def ask(person: Annotated[Person, Resolve(who)]) -> str:
    return f"You are {person.name}"


async def poem(person: Annotated[Person, Resolve(who)]) -> Sample:
    text = TextContent(type="text", text=f"A poem about {person.name}")
    return Sample([SamplingMessage(role="user", content=text)], max_tokens=10)


async def folders() -> ListRoots:
    return ListRoots()


@server.tool()
async def ask_all(
    person: Annotated[Person, Resolve(who)],
    poem: Annotated[CreateMessageResult, Resolve(poem)],
    folders: Annotated[ListRootsResult, Resolve(folders)],
) -> str:
    """Two rounds: the poem needs the name."""
    return f"{person.name}, {poem.content.text}, {folders.roots[0].uri}"


@server.tool()
async def wait(context: Context) -> str:
    await context.report_progress(1, 2, "waiting")
    state["waiting"] += 1
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        state["cancelled"] += 1
        raise
    return "it was not cancelled"


@server.tool()
async def cancelled() -> str:
    return str(state["cancelled"])


@server.tool()
async def grow(tool: str, context: Context) -> str:
    server.add_tool(cancelled, name=tool)
    await context.notify_tools_changed()
    return f"there is {tool} now"


@server.tool()
async def touch(context: Context) -> str:
    state["touched"] += 1
    await context.notify_resource_updated(f"memo://{name}/counter")
    return str(state["touched"])


@server.resource(f"memo://{name}/static")
def static() -> str:
    return f"the memo of {name}"


@server.resource(f"memo://{name}/counter")
def counter() -> str:
    return str(state["touched"])


@server.resource(f"memo://{name}/note/{{number}}")
def note(number: str) -> str:
    return f"note {number}"


@server.prompt()
def greet(who: str) -> str:
    return f"Greet {who}."


@server.prompt()
async def interview(context: Context) -> str | InputRequiredResult:
    if not context.input_responses:
        schema = Person.model_json_schema()
        params = ElicitRequestFormParams(message="Who are you?", requested_schema=schema)
        return InputRequiredResult(input_requests={"who": ElicitRequest(params=params)})
    return f"Interview {context.input_responses['who'].content['name']}."


@server.completion()
async def complete(_reference, argument, _context):
    known = ["Ann", "Anton", "Berta"]
    return Completion(values=[one for one in known if one.startswith(argument.value)])


server.run("streamable-http", port=port)
