"""FastMCP 3 and 4 as a client; the fourth finds the era by itself."""

import asyncio
import contextlib

from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from rounds import Refused, run, texts


class Peer:
    era = told = progress = logs = 0
    hears = True

    async def sampling(self, messages, _params, _context):
        return f"re: {messages[0].content.text}"

    async def elicitation(self, _message, response_type, _params, _context):
        return response_type(name="Ann")

    async def log(self, _message):
        self.logs += 1

    async def on_progress(self, *_said):
        self.progress += 1

    async def on_message(self, message):
        said = getattr(message, "root", message)
        self.told += getattr(said, "method", None) == "notifications/tools/list_changed"

    async def ask(self, asked):
        try:
            return await asked
        except Exception as error:
            # The error of the SDK below, under the name that it has there.
            code = getattr(getattr(error, "error", None), "code", None)
            raise Refused(type(error).__name__ if code is None else code) from None

    async def tools(self):
        # The fourth remembers lists as their server says; what is asked here is asked anew.
        anew = {"cache_mode": "refresh"} if hasattr(self.sdk, "protocol_version") else {}
        return [tool.name for tool in await self.ask(self.sdk.list_tools(**anew))]

    async def resources(self):
        return [str(resource.uri) for resource in await self.ask(self.sdk.list_resources())]

    async def prompts(self):
        return [prompt.name for prompt in await self.ask(self.sdk.list_prompts())]

    async def read(self, uri):
        return (await self.ask(self.sdk.read_resource(uri)))[0].text

    async def prompt(self, name, arguments):
        return (await self.ask(self.sdk.get_prompt(name, arguments))).messages[0].content.text

    async def call(self, name, arguments):
        asked = self.sdk.call_tool(name, arguments, raise_on_error=False)
        result = await self.ask(asked)
        if result.is_error:
            raise Refused("of the tool")
        return texts(result.content), result.structured_content


@contextlib.asynccontextmanager
async def connect(job):
    peer = Peer()
    command, *args = job.get("command", [""])
    # A program that is kept alive would be found again by the next round.
    to = job.get("url") or StdioTransport(command=command, args=args, keep_alive=False)
    async with Client(
        to,
        roots=["file:///first"],
        sampling_handler=peer.sampling,
        elicitation_handler=peer.elicitation,
        log_handler=peer.log,
        message_handler=peer.on_message,
        progress_handler=peer.on_progress,
    ) as peer.sdk:
        greeting = peer.sdk.initialize_result
        if hasattr(peer.sdk, "protocol_version"):
            peer.era, capabilities = peer.sdk.protocol_version, peer.sdk.server_capabilities
        else:
            peer.era, capabilities = greeting.protocolVersion, greeting.capabilities
        # The fourth opens no stream for list changes in the modern era.
        peer.hears = peer.era < "2026"
        if peer.hears and capabilities.logging:
            await peer.sdk.set_logging_level("info")
        yield peer


run(connect)
