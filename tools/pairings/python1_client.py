"""The official Python SDK 1.x as a client."""

import contextlib

import mcp.types as types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from rounds import Refused, run, texts, whole_list


class Peer:
    era = told = progress = logs = 0
    hears = True

    async def sampling(self, _context, params):
        content = types.TextContent(type="text", text=f"re: {params.messages[0].content.text}")
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def elicitation(self, _context, _params):
        return types.ElicitResult(action="accept", content={"name": "Ann"})

    async def list_roots(self, _context):
        return types.ListRootsResult(roots=[types.Root(uri="file:///first", name="first")])

    async def log(self, _params):
        self.logs += 1

    async def on_progress(self, *_said):
        self.progress += 1

    async def on_message(self, message):
        root = getattr(message, "root", None)
        self.told += isinstance(root, types.ToolListChangedNotification)

    async def ask(self, asked):
        try:
            return await asked
        except McpError as error:
            raise Refused(error.error.code) from None

    async def tools(self):
        return [tool.name for tool in await whole_list(self.page(self.session.list_tools), "tools")]

    async def resources(self):
        listed = await whole_list(self.page(self.session.list_resources), "resources")
        return [str(resource.uri) for resource in listed]

    async def prompts(self):
        return [one.name for one in await whole_list(self.page(self.session.list_prompts), "prompts")]

    def page(self, method):
        def ask(cursor):
            return self.ask(method(params=types.PaginatedRequestParams(cursor=cursor)))

        return ask

    async def read(self, uri):
        return (await self.ask(self.session.read_resource(uri))).contents[0].text

    async def prompt(self, name, arguments):
        return (await self.ask(self.session.get_prompt(name, arguments))).messages[0].content.text

    async def call(self, name, arguments):
        asked = self.session.call_tool(name, arguments, progress_callback=self.on_progress)
        result = await self.ask(asked)
        if result.isError:
            raise Refused("of the tool")
        return texts(result.content), result.structuredContent


@contextlib.asynccontextmanager
async def streams(job):
    if "url" in job:
        async with streamable_http_client(job["url"]) as (read, write, _session):
            yield read, write
    else:
        command, *args = job["command"]
        async with stdio_client(StdioServerParameters(command=command, args=args)) as both:
            yield both


@contextlib.asynccontextmanager
async def connect(job):
    peer = Peer()
    async with streams(job) as (read, write):
        async with ClientSession(
            read,
            write,
            sampling_callback=peer.sampling,
            elicitation_callback=peer.elicitation,
            list_roots_callback=peer.list_roots,
            logging_callback=peer.log,
            message_handler=peer.on_message,
        ) as peer.session:
            greeting = await peer.session.initialize()
            peer.era = greeting.protocolVersion
            if greeting.capabilities.logging:
                await peer.session.set_logging_level("info")
            yield peer


run(connect)
