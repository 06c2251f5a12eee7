// A server in the official TypeScript SDK 2.x, of both eras: legacy clients get sessions, as the SDK's
// documentation shows for state, beside the handler of the modern era.
//
//   node typescript2_server.mjs NAME http PORT | stdio
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import {
  McpServer,
  acceptedContent,
  createMcpHandler,
  inputRequired,
  inputResponse,
  isLegacyRequest,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const [name, transport, port] = process.argv.slice(2);
// Some clients lose what comes together with an answer.
const STEP_MILLISECONDS = 20;
const text = (said) => ({ content: [{ type: 'text', text: said }] });
const Person = z.object({ name: z.string() });
const none = z.object({});
// Tools that every later session has, and in the modern era every later request.
const grown = [];
let handler;

function newServer() {
  const capabilities = { logging: {}, tools: { listChanged: true } };
  const server = new McpServer({ name, version: '1' }, { capabilities });
  const tool = (named, inputSchema, run) => server.registerTool(named, { inputSchema }, run);
  const secret = () => text('the secret');
  let count = 0;
  tool('echo', z.object({ message: z.string() }), ({ message }) => text(`${name}: ${message}`));
  server.registerTool(
    'add',
    { inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }) },
    ({ a, b }) => ({ ...text(String(a + b)), structuredContent: { sum: a + b } }),
  );
  // In the modern era each request has a server of its own, and counts for itself.
  tool('count', none, () => text(String(++count)));
  tool('work', z.object({ steps: z.number().int() }), async ({ steps }, { mcpReq }) => {
    const { progressToken } = mcpReq._meta ?? {};
    for (let step = 1; step <= steps; step++) {
      const said = { progressToken, progress: step, total: steps, message: `step ${step}` };
      await mcpReq.notify({ method: 'notifications/progress', params: said });
      await mcpReq.log('info', `step ${step}`);
      await pause(STEP_MILLISECONDS);
    }
    return text('done');
  });
  tool('ask', none, (_none, { mcpReq: { inputResponses } }) => {
    const person = acceptedContent(inputResponses, 'who', Person);
    if (person) return text(`accept ${person.name}`);
    const who = inputRequired.elicit({ message: 'Who are you?', requestedSchema: Person });
    return inputRequired({ inputRequests: { who } });
  });
  tool('sample', none, (_none, { mcpReq: { inputResponses } }) => {
    const said = inputResponse(inputResponses, 'poem');
    if (said.kind !== 'missing') return text([said.result.content].flat()[0].text);
    const messages = [{ role: 'user', content: { type: 'text', text: 'a poem' } }];
    return inputRequired({ inputRequests: { poem: inputRequired.createMessage({ messages, maxTokens: 10 }) } });
  });
  tool('roots', none, (_none, { mcpReq: { inputResponses } }) => {
    const said = inputResponse(inputResponses, 'folders');
    if (said.kind !== 'missing') return text(said.roots[0].uri);
    return inputRequired({ inputRequests: { folders: inputRequired.listRoots() } });
  });
  // The SDK announces what is registered in a legacy session or on a connection that runs; the handler
  // of the modern era is told.
  tool('unlock', z.object({ tool: z.string() }), (args) => {
    tool(args.tool, none, secret);
    grown.push(args.tool);
    handler?.notify.toolsChanged();
    return text('unlocked');
  });
  tool('grow', z.object({ tool: z.string() }), (args) => {
    grown.push(args.tool);
    return text('grown');
  });
  for (const named of grown) tool(named, none, secret);
  server.registerResource('note', `memo://${name}/note`, {}, (uri) => ({
    contents: [{ uri: uri.href, text: `the note of ${name}` }],
  }));
  server.registerPrompt('greet', { argsSchema: z.object({ who: z.string() }) }, ({ who }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Greet ${who}.` } }],
  }));
  return server;
}

// One transport and one server for each legacy session.
const sessions = new Map();

async function opened() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await newServer().connect(transport);
  return transport;
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
}

async function handle(request, response) {
  const message = await body(request);
  if (!(await isLegacyRequest(await toWebRequest(request, message), message)))
    return modern(request, response, message);
  const id = request.headers['mcp-session-id'];
  if (id && !sessions.has(id)) return response.writeHead(404).end();
  return (sessions.get(id) ?? (await opened())).handleRequest(request, response, message);
}

let modern;
if (transport === 'stdio') serveStdio(newServer);
else {
  handler = createMcpHandler(newServer, { legacy: 'reject', onerror: (error) => console.error(error) });
  modern = toNodeHandler(handler);
  createServer(handle).listen(Number(port), '127.0.0.1');
}
