"""The official Python SDK 2.x as a client, which finds the era by itself."""

import asyncio
import contextlib

import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

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
        self.told += isinstance(message, types.ToolListChangedNotification)

    async def ask(self, asked):
        try:
            return await asked
        except MCPError as error:
            raise Refused(error.code) from None

    def page(self, method):
        return lambda cursor: self.ask(method(cursor=cursor, cache_mode="refresh"))

    async def tools(self):
        return [tool.name for tool in await whole_list(self.page(self.sdk.list_tools), "tools")]

    async def resources(self):
        listed = await whole_list(self.page(self.sdk.list_resources), "resources")
        return [str(resource.uri) for resource in listed]

    async def prompts(self):
        return [one.name for one in await whole_list(self.page(self.sdk.list_prompts), "prompts")]

    async def read(self, uri):
        return (await self.ask(self.sdk.read_resource(uri))).contents[0].text

    async def prompt(self, name, arguments):
        return (await self.ask(self.sdk.get_prompt(name, arguments))).messages[0].content.text

    async def call(self, name, arguments):
        asked = self.sdk.call_tool(name, arguments, progress_callback=self.on_progress)
        result = await self.ask(asked)
        if result.is_error:
            raise Refused("of the tool")
        return texts(result.content), result.structured_content

    async def hear(self, subscription):
        async for _event in subscription:
            self.told += 1


@contextlib.asynccontextmanager
async def connect(job):
    peer = Peer()
    command, *args = job.get("command", [""])
    async with Client(
        job.get("url") or StdioServerParameters(command=command, args=args),
        log_level="info",
        logging_callback=peer.log,
        message_handler=peer.on_message,
        sampling_callback=peer.sampling,
        elicitation_callback=peer.elicitation,
        list_roots_callback=peer.list_roots,
    ) as peer.sdk:
        peer.era = peer.sdk.protocol_version
        capabilities = peer.sdk.server_capabilities
        is_modern = peer.era in MODERN_PROTOCOL_VERSIONS
        if not is_modern and capabilities.logging:
            await peer.sdk.set_logging_level("info")
        peer.hears = not is_modern or bool(capabilities.tools.list_changed)
        if not is_modern or not peer.hears:
            yield peer
            return
        async with peer.sdk.listen(tools_list_changed=True) as subscription:
            hearing = asyncio.create_task(peer.hear(subscription))
            try:
                yield peer
            finally:
                hearing.cancel()


run(connect)
