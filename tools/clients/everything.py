"""What the official conformance suite expects of a server, in the official Python SDK 2.x.

    everything.py

It prints `listening on URL`. The low-level server, as the SDK's documentation shows it: schemas are
given as they are, and sessions can subscribe. everything.mjs offers the same.
"""

import asyncio
import base64
import socket
from typing import NamedTuple

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventMessage, EventStore

# An image of one pixel, and a sound without a sample.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
TEMPLATE = "test://template/{id}/data"
WATCHED = "test://watched-resource"
# The pause that the suite asks for between two notifications of a call.
PAUSE_SECONDS = 0.05
RETRY_MILLISECONDS = 500


class Tool(NamedTuple):
    description: str
    schema: dict
    run: object


tools, prompts = {}, {}


def tool(name, description, schema=None, **properties):
    """Adds a tool whose arguments are of these types, or described by a schema."""
    kinds = {argument: {"type": kind} for argument, kind in properties.items()}
    schema = schema or {"type": "object", "properties": kinds, "required": list(kinds)}

    def add(run):
        tools[name] = Tool(description, schema, run)
        return run

    return add


def text(said):
    return types.TextContent(type="text", text=said)


def image():
    return types.ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri, mime_type, said):
    resource = types.TextResourceContents(uri=uri, mime_type=mime_type, text=said)
    return types.EmbeddedResource(type="resource", resource=resource)


@tool("test_simple_text", "Answers a simple text")
async def simple_text(_context):
    return [text("This is a simple text response for testing.")]


@tool("test_image_content", "Answers an image")
async def image_content(_context):
    return [image()]


@tool("test_audio_content", "Answers a sound")
async def audio_content(_context):
    return [types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")]


@tool("test_embedded_resource", "Answers an embedded resource")
async def embedded_resource(_context):
    said = "This is an embedded resource content."
    return [embedded("test://embedded-resource", "text/plain", said)]


@tool("test_multiple_content_types", "Answers text, image and resource")
async def multiple_content_types(_context):
    mixed = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return [text("Multiple content types test:"), image(), mixed]


@tool("test_tool_with_logging", "Logs three times while it runs")
async def with_logging(context):
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", said, related_request_id=context.request_id)
        await asyncio.sleep(PAUSE_SECONDS)
    return [text("Logged three messages.")]


@tool("test_tool_with_progress", "Reports progress three times")
async def with_progress(context):
    for progress in (0, 50, 100):
        await context.session.report_progress(progress, 100)
        await asyncio.sleep(PAUSE_SECONDS)
    return [text("Reported progress three times.")]


@tool("test_error_handling", "Fails")
async def error_handling(_context):
    raise ValueError("This tool intentionally returns an error for testing")


@tool("test_sampling", "Asks the client's model", prompt="string")
async def sampling(context, prompt):
    asked = types.SamplingMessage(role="user", content=text(prompt))
    said = await context.session.create_message(
        [asked], max_tokens=100, related_request_id=context.request_id
    )
    return [text(f"LLM response: {said.content.text}")]


async def elicited(context, message, schema):
    said = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
    return f"action={said.action}, content={said.content}"


@tool("test_elicitation", "Asks the user", message="string")
async def elicitation(context, message):
    properties = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return [text(f"User response: {await elicited(context, message, schema)}")]


@tool("test_elicitation_sep1034_defaults", "Asks with defaults")
async def elicitation_defaults(context):
    status = {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"}
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": status,
        "verified": {"type": "boolean", "default": True},
    }
    schema = {"type": "object", "properties": properties, "required": []}
    said = await elicited(context, "Please check these defaults", schema)
    return [text(f"Elicitation completed: {said}")]


@tool("test_elicitation_sep1330_enums", "Asks with choices")
async def elicitation_enums(context):
    def titled(value, title):
        ranks = ("First", "Second", "Third")
        return [{"const": f"{value}{at}", "title": f"{rank} {title}"} for at, rank in enumerate(ranks, 1)]

    options = ["option1", "option2", "option3"]
    names = ["Option One", "Option Two", "Option Three"]
    properties = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled("value", "Option")},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": names},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("value", "Choice")}},
    }
    schema = {"type": "object", "properties": properties, "required": []}
    return [text(f"Elicitation completed: {await elicited(context, 'Please choose', schema)}")]


@tool("test_reconnection", "Closes its own stream before it answers")
async def reconnection(context):
    if context.close_sse_stream:
        await context.close_sse_stream()
    await asyncio.sleep(2 * RETRY_MILLISECONDS / 1000)
    return [text("The stream was closed, and this came after it.")]


ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
RICH_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@tool("json_schema_2020_12_tool", "Takes arguments that a rich schema describes", RICH_SCHEMA)
async def json_schema(_context, **arguments):
    return [text(f"Called with {arguments}")]


async def list_tools(_context, _params):
    listed = [
        types.Tool(name=name, description=one.description, input_schema=one.schema)
        for name, one in tools.items()
    ]
    return types.ListToolsResult(tools=listed)


async def call_tool(context, params):
    try:
        content = await tools[params.name].run(context, **(params.arguments or {}))
    except ValueError as error:
        return types.CallToolResult(content=[text(str(error))], is_error=True)
    return types.CallToolResult(content=content)


CONTENTS = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", base64.b64decode(PNG)),
    WATCHED: ("text/plain", "This resource can be watched."),
}


async def list_resources(_context, _params):
    listed = [
        types.Resource(uri=uri, name=uri.removeprefix("test://"), description=uri, mime_type=mime_type)
        for uri, (mime_type, _content) in CONTENTS.items()
    ]
    return types.ListResourcesResult(resources=listed)


async def list_resource_templates(_context, _params):
    template = types.ResourceTemplate(
        uri_template=TEMPLATE, name="template", description="Data for any id", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(_context, params):
    uri = str(params.uri)
    before, after = TEMPLATE.split("{id}")
    if uri.startswith(before) and uri.endswith(after):
        found = uri.removeprefix(before).removesuffix(after)
        mime_type, content = "application/json", f'{{"id":"{found}","templateTest":true}}'
    else:
        mime_type, content = CONTENTS[uri]
    if isinstance(content, bytes):
        blob = base64.b64encode(content).decode()
        contents = types.BlobResourceContents(uri=uri, mime_type=mime_type, blob=blob)
    else:
        contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=content)
    return types.ReadResourceResult(contents=[contents])


async def nothing(_context, _params):
    """The suite subscribes and sets levels; nothing here changes by itself or logs below `info`."""
    return types.EmptyResult()


def user(content):
    return types.PromptMessage(role="user", content=content)


def prompt(name, description, *arguments):
    described = [types.PromptArgument(name=one, description=one, required=True) for one in arguments]

    def add(make):
        prompts[name] = types.Prompt(name=name, description=description, arguments=described), make
        return make

    return add


@prompt("test_simple_prompt", "No arguments")
def simple_prompt():
    return [user(text("This is a simple prompt for testing."))]


@prompt("test_prompt_with_arguments", "Two arguments", "arg1", "arg2")
def prompt_with_arguments(arg1, arg2):
    return [user(text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


@prompt("test_prompt_with_embedded_resource", "Embeds a resource", "resourceUri")
def prompt_with_embedded_resource(resourceUri):
    content = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [user(content), user(text("Please process the embedded resource above."))]


@prompt("test_prompt_with_image", "Holds an image")
def prompt_with_image():
    return [user(image()), user(text("Please analyze the image above."))]


async def list_prompts(_context, _params):
    return types.ListPromptsResult(prompts=[listed for listed, _make in prompts.values()])


async def get_prompt(_context, params):
    _listed, make = prompts[params.name]
    return types.GetPromptResult(messages=make(**(params.arguments or {})))


async def complete(_context, params):
    words = ("paris", "park", "party")
    values = [word for word in words if word.startswith(params.argument.value)]
    completion = types.Completion(values=values, total=len(values), has_more=False)
    return types.CompleteResult(completion=completion)


class Events(EventStore):
    """What was sent on each stream, so that a client can take it up again; the suite is soon over."""

    def __init__(self):
        self.sent = []

    async def store_event(self, stream_id, message):
        self.sent.append((stream_id, message))
        return str(len(self.sent))

    async def replay_events_after(self, last_event_id, send_callback):
        at = int(last_event_id)
        stream, _message = self.sent[at - 1]
        for number, (other, message) in enumerate(self.sent[at:], at + 1):
            if other == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


server = Server(
    "everything",
    version="1",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=list_resources,
    on_list_resource_templates=list_resource_templates,
    on_read_resource=read_resource,
    on_subscribe_resource=nothing,
    on_unsubscribe_resource=nothing,
    on_list_prompts=list_prompts,
    on_get_prompt=get_prompt,
    on_completion=complete,
    on_set_logging_level=nothing,
)
app = server.streamable_http_app(event_store=Events(), retry_interval=RETRY_MILLISECONDS)
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
