// The official TypeScript SDK 2.x as a client, which negotiates the era as it does by default.
import { Client, LOG_LEVEL_META_KEY, ProtocolError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { ANSWERS, Refused, run, texts, whole } from './rounds.mjs';

const capabilities = { sampling: {}, elicitation: { form: {} }, roots: {} };
// What is asked here is asked anew, whatever a server says of how long its lists hold.
const anew = { cacheMode: 'refresh' };

function refused(error) {
  throw error instanceof ProtocolError ? new Refused(String(error.code)) : error;
}

async function connect(job) {
  const peer = { told: 0, progress: 0, logs: 0 };
  const client = new Client({ name: 'typescript2', version: '1' }, { capabilities });
  client.setRequestHandler('elicitation/create', ANSWERS.elicitation);
  client.setRequestHandler('sampling/createMessage', ANSWERS.sampling);
  client.setRequestHandler('roots/list', ANSWERS.roots);
  client.setNotificationHandler('notifications/message', () => {
    peer.logs += 1;
  });
  client.setNotificationHandler('notifications/tools/list_changed', () => {
    peer.told += 1;
  });
  const listed = async (method, what) => whole((page) => client[method](page, anew).catch(refused), what);
  Object.assign(peer, {
    tools: async () => (await listed('listTools', 'tools')).map(({ name }) => name),
    resources: async () => (await listed('listResources', 'resources')).map(({ uri }) => uri),
    prompts: async () => (await listed('listPrompts', 'prompts')).map(({ name }) => name),
    read: async (uri) => (await client.readResource({ uri }).catch(refused)).contents[0].text,
    prompt: async (name, args) =>
      (await client.getPrompt({ name, arguments: args }).catch(refused)).messages[0].content.text,
    call: async (name, args) => {
      const request = { name, arguments: args, _meta: { [LOG_LEVEL_META_KEY]: 'info' } };
      const options = { onprogress: () => (peer.progress += 1) };
      const result = await client.callTool(request, options).catch(refused);
      if (result.isError) throw new Refused('of the tool');
      return { text: texts(result.content), structured: result.structuredContent };
    },
    close: () => client.close(),
  });
  const [command, ...args] = job.command ?? [];
  const transport = job.url
    ? new StreamableHTTPClientTransport(new URL(job.url))
    : new StdioClientTransport({ command, args });
  await client.connect(transport);
  peer.era = client.getNegotiatedProtocolVersion();
  const isLegacy = peer.era < '2026';
  if (isLegacy && job.url) peer.close = () => transport.terminateSession().finally(() => client.close());
  if (isLegacy && client.getServerCapabilities()?.logging) await client.setLoggingLevel('info');
  return peer;
}

await run(connect);
