// What the official conformance suite expects of a server, in the official TypeScript SDK 2.x.
//
//   node everything.mjs
//
// It prints `listening on URL`. Legacy clients get sessions, beside the handler of the modern era, as
// the SDK's documentation shows for servers with state. everything.py offers the same.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import {
  McpServer,
  ResourceTemplate,
  completable,
  createMcpHandler,
  fromJsonSchema,
  isLegacyRequest,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

// An image of one pixel, and a sound without a sample.
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';
// The pause that the suite asks for between two notifications of a call.
const PAUSE_MILLISECONDS = 50;
const RETRY_MILLISECONDS = 500;

const text = (said) => ({ type: 'text', text: said });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, said) => ({ type: 'resource', resource: { uri, mimeType, text: said } });
const none = z.object({});

const plain = {
  test_simple_text: () => [text('This is a simple text response for testing.')],
  test_image_content: () => [image],
  test_audio_content: () => [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  test_embedded_resource: () => [
    embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
  ],
  test_multiple_content_types: () => [
    text('Multiple content types test:'),
    image,
    embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  ],
  test_error_handling: () => {
    throw new Error('This tool intentionally returns an error for testing');
  },
  test_tool_with_logging: async ({ mcpReq }) => {
    for (const said of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.log('info', said);
      await pause(PAUSE_MILLISECONDS);
    }
    return [text('Logged three messages.')];
  },
  test_tool_with_progress: async ({ mcpReq }) => {
    const { progressToken } = mcpReq._meta ?? {};
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined)
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      await pause(PAUSE_MILLISECONDS);
    }
    return [text('Reported progress three times.')];
  },
  test_reconnection: async ({ http }) => {
    http?.closeSSE?.();
    await pause(2 * RETRY_MILLISECONDS);
    return [text('The stream was closed, and this came after it.')];
  },
};

const status = { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' };
const DEFAULTS = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status,
  verified: { type: 'boolean', default: true },
};
const options = ['option1', 'option2', 'option3'];
const titled = (value, title) =>
  ['First', 'Second', 'Third'].map((rank, at) => ({ const: `${value}${at + 1}`, title: `${rank} ${title}` }));
const CHOICES = {
  untitledSingle: { type: 'string', enum: options },
  titledSingle: { type: 'string', oneOf: titled('value', 'Option') },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
  titledMulti: { type: 'array', items: { anyOf: titled('value', 'Choice') } },
};
const USER = {
  username: { type: 'string', description: "User's response" },
  email: { type: 'string', description: "User's email address" },
};

const RICH_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

function offerTools(server) {
  const tool = (name, inputSchema, run) =>
    server.registerTool(name, { description: name, inputSchema }, async (args, context) => ({
      content: await run(args, context),
    }));
  for (const [name, run] of Object.entries(plain)) tool(name, none, (_none, context) => run(context));
  tool('json_schema_2020_12_tool', fromJsonSchema(RICH_SCHEMA), (args) => [text(JSON.stringify(args))]);
  tool('test_sampling', z.object({ prompt: z.string() }), async ({ prompt }, { mcpReq }) => {
    const messages = [{ role: 'user', content: text(prompt) }];
    const { content } = await mcpReq.requestSampling({ messages, maxTokens: 100 });
    return [text(`LLM response: ${content.text}`)];
  });
  const elicited = async ({ mcpReq }, message, properties, required = []) => {
    const requestedSchema = { type: 'object', properties, required };
    const { action, content } = await mcpReq.elicitInput({ message, requestedSchema });
    return `action=${action}, content=${JSON.stringify(content)}`;
  };
  tool('test_elicitation', z.object({ message: z.string() }), async ({ message }, context) => [
    text(`User response: ${await elicited(context, message, USER, Object.keys(USER))}`),
  ]);
  tool('test_elicitation_sep1034_defaults', none, async (_none, context) => [
    text(`Elicitation completed: ${await elicited(context, 'Please check these defaults', DEFAULTS)}`),
  ]);
  tool('test_elicitation_sep1330_enums', none, async (_none, context) => [
    text(`Elicitation completed: ${await elicited(context, 'Please choose', CHOICES)}`),
  ]);
}

function offerResources(server) {
  const resource = (uri, mimeType, content) =>
    server.registerResource(uri.slice('test://'.length), uri, { mimeType, description: uri }, () => ({
      contents: [{ uri, mimeType, ...content }],
    }));
  resource('test://static-text', 'text/plain', { text: 'This is the content of the static text resource.' });
  resource('test://static-binary', 'image/png', { blob: PNG });
  resource('test://watched-resource', 'text/plain', { text: 'This resource can be watched.' });
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  const mimeType = 'application/json';
  server.registerResource('template', template, { mimeType, description: 'Data for any id' }, ({ href }, { id }) => ({
    contents: [{ uri: href, mimeType, text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }],
  }));
  // The suite subscribes; nothing here changes by itself.
  for (const method of ['resources/subscribe', 'resources/unsubscribe'])
    server.server.setRequestHandler(method, () => ({}));
}

function offerPrompts(server) {
  const prompt = (name, argsSchema, make) =>
    server.registerPrompt(name, { description: name, ...(argsSchema && { argsSchema }) }, (args) => ({
      messages: make(args).map((content) => ({ role: 'user', content })),
    }));
  const words = ['paris', 'park', 'party'];
  const completed = completable(z.string(), (value) => words.filter((word) => word.startsWith(value)));
  prompt('test_simple_prompt', undefined, () => [text('This is a simple prompt for testing.')]);
  prompt('test_prompt_with_arguments', z.object({ arg1: completed, arg2: z.string() }), ({ arg1, arg2 }) => [
    text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`),
  ]);
  prompt('test_prompt_with_embedded_resource', z.object({ resourceUri: z.string() }), ({ resourceUri }) => [
    embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
    text('Please process the embedded resource above.'),
  ]);
  prompt('test_prompt_with_image', undefined, () => [image, text('Please analyze the image above.')]);
}

function newServer() {
  const capabilities = { logging: {}, resources: { subscribe: true } };
  const server = new McpServer({ name: 'everything', version: '1' }, { capabilities });
  offerTools(server);
  offerResources(server);
  offerPrompts(server);
  return server;
}

// What was sent on each stream of a session, so that a client can take it up again.
class Events {
  sent = [];

  async storeEvent(stream, message) {
    return String(this.sent.push({ stream, message }));
  }

  async replayEventsAfter(last, { send }) {
    const { stream } = this.sent[Number(last) - 1];
    for (const [at, other] of this.sent.entries())
      if (at >= Number(last) && other.stream === stream) await send(String(at + 1), other.message);
    return stream;
  }
}

const sessions = new Map();

async function opened() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Events(),
    retryInterval: RETRY_MILLISECONDS,
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

const modern = toNodeHandler(
  createMcpHandler(newServer, { legacy: 'reject', onerror: (error) => console.error(error) }),
);

// What a page of a stranger could send: its host or its origin is none of this machine's.
function isStrange({ headers: { host, origin } }) {
  const local = /^(https?:\/\/)?(localhost|127\.0\.0\.1)(:\d+)?$/;
  return !local.test(host ?? '') || (origin !== undefined && !local.test(origin));
}

async function handle(request, response) {
  if (isStrange(request)) return response.writeHead(403).end();
  const message = await body(request);
  if (!(await isLegacyRequest(await toWebRequest(request, message), message)))
    return modern(request, response, message);
  const id = request.headers['mcp-session-id'];
  if (id && !sessions.has(id)) return response.writeHead(404).end();
  return (sessions.get(id) ?? (await opened())).handleRequest(request, response, message);
}

const listener = createServer(handle).listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}/mcp`);
});
