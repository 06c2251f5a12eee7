// The official TypeScript SDK 1.x as a client.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  McpError,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { ANSWERS, Refused, run, texts, whole } from './rounds.mjs';

const capabilities = { sampling: {}, elicitation: {}, roots: {} };

function refused(error) {
  throw error instanceof McpError ? new Refused(String(error.code)) : error;
}

async function connect(job) {
  const client = new Client({ name: 'typescript1', version: '1' }, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, ANSWERS.elicitation);
  client.setRequestHandler(CreateMessageRequestSchema, ANSWERS.sampling);
  client.setRequestHandler(ListRootsRequestSchema, ANSWERS.roots);
  const peer = {
    told: 0,
    progress: 0,
    logs: 0,
    tools: async () => (await whole((page) => client.listTools(page).catch(refused), 'tools')).map(({ name }) => name),
    resources: async () =>
      (await whole((page) => client.listResources(page).catch(refused), 'resources')).map(({ uri }) => uri),
    prompts: async () =>
      (await whole((page) => client.listPrompts(page).catch(refused), 'prompts')).map(({ name }) => name),
    read: async (uri) => (await client.readResource({ uri }).catch(refused)).contents[0].text,
    prompt: async (name, args) =>
      (await client.getPrompt({ name, arguments: args }).catch(refused)).messages[0].content.text,
    call: async (name, args) => {
      const options = { onprogress: () => (peer.progress += 1) };
      const result = await client.callTool({ name, arguments: args }, undefined, options).catch(refused);
      if (result.isError) throw new Refused('of the tool');
      return { text: texts(result.content), structured: result.structuredContent };
    },
    close: () => client.close(),
  };
  client.setNotificationHandler(LoggingMessageNotificationSchema, () => {
    peer.logs += 1;
  });
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    peer.told += 1;
  });
  const [command, ...args] = job.command ?? [];
  const transport = job.url
    ? new StreamableHTTPClientTransport(new URL(job.url))
    : new StdioClientTransport({ command, args });
  // The session is ended as the SDK's documentation says.
  if (job.url) peer.close = () => transport.terminateSession().finally(() => client.close());
  // Its transports tell the version only to themselves.
  const { setProtocolVersion } = transport;
  transport.setProtocolVersion = (version) => {
    peer.era = version;
    setProtocolVersion?.call(transport, version);
  };
  await client.connect(transport);
  if (client.getServerCapabilities()?.logging) await client.setLoggingLevel('info');
  return peer;
}

await run(connect);
