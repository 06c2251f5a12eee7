// A server in the official TypeScript SDK 1.x, with a McpServer for each session.
//
//   node typescript1_server.mjs NAME http PORT | stdio
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const [name, transport, port] = process.argv.slice(2);
// Some clients lose what comes together with an answer.
const STEP_MILLISECONDS = 20;
const text = (said) => ({ content: [{ type: 'text', text: said }] });
// Tools that every later session has, too.
const grown = [];

function newServer() {
  const server = new McpServer({ name, version: '1' }, { capabilities: { logging: {} } });
  const tool = (named, inputSchema, run) => server.registerTool(named, { inputSchema }, run);
  const secret = () => text('the secret');
  let count = 0;
  tool('echo', { message: z.string() }, ({ message }) => text(`${name}: ${message}`));
  server.registerTool(
    'add',
    { inputSchema: { a: z.number(), b: z.number() }, outputSchema: { sum: z.number() } },
    ({ a, b }) => ({ ...text(String(a + b)), structuredContent: { sum: a + b } }),
  );
  tool('count', {}, () => text(String(++count)));
  tool('work', { steps: z.number().int() }, async ({ steps }, { _meta, sendNotification }) => {
    const { progressToken } = _meta ?? {};
    for (let step = 1; step <= steps; step++) {
      const said = { progressToken, progress: step, total: steps, message: `step ${step}` };
      await sendNotification({ method: 'notifications/progress', params: said });
      await sendNotification({ method: 'notifications/message', params: { level: 'info', data: `step ${step}` } });
      await pause(STEP_MILLISECONDS);
    }
    return text('done');
  });
  tool('ask', {}, async () => {
    const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
    const said = await server.server.elicitInput({ message: 'Who are you?', requestedSchema });
    return text(`${said.action} ${said.content.name}`);
  });
  tool('sample', {}, async () => {
    const messages = [{ role: 'user', content: { type: 'text', text: 'a poem' } }];
    return text((await server.server.createMessage({ messages, maxTokens: 10 })).content.text);
  });
  tool('roots', {}, async () => text((await server.server.listRoots()).roots[0].uri));
  // The SDK announces what is registered in a session that runs.
  tool('unlock', { tool: z.string() }, (args) => {
    tool(args.tool, {}, secret);
    return text('unlocked');
  });
  tool('grow', { tool: z.string() }, (args) => {
    grown.push(args.tool);
    return text('grown');
  });
  for (const named of grown) tool(named, {}, secret);
  server.registerResource('note', `memo://${name}/note`, {}, (uri) => ({
    contents: [{ uri: uri.href, text: `the note of ${name}` }],
  }));
  server.registerPrompt('greet', { argsSchema: { who: z.string() } }, ({ who }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Greet ${who}.` } }],
  }));
  return server;
}

// One transport and one server for each session.
const sessions = new Map();

async function opened() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await newServer().connect(transport);
  return transport;
}

async function handle(request, response) {
  const id = request.headers['mcp-session-id'];
  if (id && !sessions.has(id)) return response.writeHead(404).end();
  return (sessions.get(id) ?? (await opened())).handleRequest(request, response);
}

if (transport === 'stdio') await newServer().connect(new StdioServerTransport());
else createServer(handle).listen(Number(port), '127.0.0.1');
