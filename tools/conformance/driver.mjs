// The client under test in the suite's client scenarios: vmcp, in front of the suite's server, with a
// plain client before it that uses all that vmcp offers.
//
//   VMCP=BINARY node driver.mjs URL
//
// The suite judges what reaches its server, so that this client checks next to nothing. It speaks the
// era of the revision that the suite names, and as little as there is: HTTP, JSON and event streams.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const backend = process.argv[2];
const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const { toolCalls = [] } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const MODERN = '2026-07-28';
const modern = version >= MODERN;
const PATIENCE = 20_000;

const clientInfo = { name: 'driver', version: '1' };
const capabilities = { sampling: {}, elicitation: { form: {} }, roots: {} };
const reserved = (key) => `io.modelcontextprotocol/${key}`;

// --- vmcp

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function startVmcp() {
  const folder = mkdtempSync(join(tmpdir(), 'vmcp-driver-'));
  const config = {
    name: 'conformance',
    groupRef: 'conformance',
    incomingAuth: { type: 'anonymous' },
    outgoingAuth: { source: 'inline' },
    backends: [{ name: 'mock', url: backend, transport: 'streamable-http' }],
    aggregation: {
      conflictResolution: 'priority',
      conflictResolutionConfig: { priorityOrder: ['mock'] },
    },
  };
  writeFileSync(join(folder, 'vmcp.yaml'), JSON.stringify(config));
  const port = await freePort();
  const options = ['serve', '--config', join(folder, 'vmcp.yaml'), '--port', String(port)];
  const child = spawn(process.env.VMCP, options, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise((done) => child.on('exit', done));
  const end = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true });
  };
  for (let tries = 0; tries < 200 && child.exitCode === null; tries++) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (ready?.ok) return { url: `http://127.0.0.1:${port}/mcp`, end };
    await new Promise((done) => setTimeout(done, 50));
  }
  await end();
  throw new Error('vmcp is not ready');
}

// --- messages

// The messages of an answer, whether it is one as JSON or a stream of them.
async function* messages(response) {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    const text = await response.text();
    if (text) yield JSON.parse(text);
    return;
  }
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (rest + chunk).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const lines = event.split('\n').filter((line) => line.startsWith('data:'));
      const data = lines.map((line) => line.slice(5).trim()).join('\n');
      if (data) yield JSON.parse(data);
    }
  }
}

const ending = new AbortController();
let session;
let ids = 0;

const post = (url, message, headers) =>
  fetch(url, {
    method: 'POST',
    signal: AbortSignal.timeout(PATIENCE),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(modern || session ? { 'mcp-protocol-version': version } : {}),
      ...(session ? { 'mcp-session-id': session } : {}),
      ...headers,
    },
    body: JSON.stringify(message),
  });

// The headers in which a modern request says again what it is about.
function headersOf(method, params, tool) {
  if (!modern) return {};
  const headers = { 'mcp-method': method };
  const name = params.name ?? params.uri;
  if (name) headers['mcp-name'] = name;
  for (const [key, schema] of Object.entries(tool?.inputSchema.properties ?? {})) {
    const value = params.arguments?.[key] ?? null;
    if (schema['x-mcp-header'] === undefined || value === null) continue;
    const plain = String(value);
    const isSafe = /^[\x20-\x7e]*$/.test(plain) && plain === plain.trim();
    const coded = `=?base64?${Buffer.from(plain).toString('base64')}?=`;
    headers[`mcp-param-${schema['x-mcp-header']}`] = isSafe ? plain : coded;
  }
  return headers;
}

// Sends a request, answers what is asked meanwhile, and gives its response.
async function request(url, method, params = {}, tool = undefined) {
  const _meta = {
    [reserved('protocolVersion')]: version,
    [reserved('clientInfo')]: clientInfo,
    [reserved('clientCapabilities')]: capabilities,
  };
  const message = { jsonrpc: '2.0', id: ++ids, method, params: modern ? { ...params, _meta } : params };
  const response = await post(url, message, headersOf(method, params, tool));
  session ??= response.headers.get('mcp-session-id') ?? undefined;
  for await (const said of messages(response)) {
    if (said.method && said.id !== undefined) await reply(url, said);
    else if (said.id === message.id) return said;
  }
  throw new Error(`${method} was not answered: ${response.status}`);
}

const reply = (url, asked) => post(url, { jsonrpc: '2.0', id: asked.id, result: answer(asked) });

// What a user would say who takes every default.
function answer({ method, params }) {
  if (method !== 'elicitation/create') throw new Error(`nobody here answers ${method}`);
  const fields = Object.entries(params.requestedSchema.properties);
  const content = fields.map(([name, schema]) => [name, schema.default ?? made(schema)]);
  return { action: 'accept', content: Object.fromEntries(content) };
}

// --- what there is to do

const made = ({ type }) =>
  ({ string: 'text', number: 1.5, integer: 3, boolean: true, array: [], object: {} })[type] ?? null;

// What a tool needs. One tool takes the schema of another, as it was listed.
function argumentsFor({ name, inputSchema: { properties = {}, required = [] } }, tools) {
  if (name === 'json_schema_echo')
    return { schema: tools.find((tool) => tool.name === 'json_schema_2020_12_tool').inputSchema };
  return Object.fromEntries(required.map((name) => [name, made(properties[name] ?? {})]));
}

// In either era: until there is nothing more to be asked.
async function settled(url, method, params, tool) {
  let response = await request(url, method, params, tool);
  while (response.result?.resultType === 'input_required') {
    const { inputRequests = {}, requestState } = response.result;
    const answers = Object.entries(inputRequests).map(([key, asked]) => [key, answer(asked)]);
    const more = { inputResponses: Object.fromEntries(answers) };
    if (requestState !== undefined) more.requestState = requestState;
    response = await request(url, method, { ...params, ...more }, tool);
  }
  const outcome = JSON.stringify(response.error ?? response.result).slice(0, 300);
  console.log(`${method} ${params.name ?? params.uri}: ${outcome}`);
}

async function greeted(url) {
  if (modern) return (await request(url, 'server/discover')).result;
  session = undefined;
  const { result } = await request(url, 'initialize', { protocolVersion: version, clientInfo, capabilities });
  await post(url, { jsonrpc: '2.0', method: 'notifications/initialized' });
  return result;
}

// Until nothing is missing: a busy machine may need more time than vmcp gives a greeting.
async function hello(url) {
  const end = Date.now() + PATIENCE;
  let greeting = await greeted(url);
  while (greeting._meta?.['vmcp/missing'] && Date.now() < end) {
    await new Promise((done) => setTimeout(done, 50));
    greeting = await greeted(url);
  }
  if (!modern) listen(url).catch((error) => console.log(`the stream ended: ${error.message}`));
  return greeting;
}

// Questions that belong to no call of their own come on a legacy session's own stream.
async function listen(url) {
  const headers = { accept: 'text/event-stream', 'mcp-session-id': session };
  const stream = await fetch(url, { headers, signal: ending.signal });
  for await (const said of messages(stream)) if (said.id !== undefined) await reply(url, said);
}

async function list(url, what) {
  const { result, error } = await request(url, `${what}/list`);
  if (error) throw new Error(`${what}/list: ${error.message}`);
  console.log(`${what}/list: ${result[what].map(({ name }) => name).join(', ')}`);
  return result[what];
}

// All that is offered is used at once, so that what belongs to one call could get into another.
async function useAll(url) {
  const { capabilities: offered } = await hello(url);
  const tools = await list(url, 'tools');
  const calls = tools.flatMap((tool) => {
    const wanted = toolCalls.filter(({ name }) => name === tool.name);
    const all = wanted.length ? wanted : [{ name: tool.name, arguments: argumentsFor(tool, tools) }];
    return all.map((params) => settled(url, 'tools/call', params, tool));
  });
  const resources = offered.resources ? await list(url, 'resources') : [];
  const prompts = offered.prompts ? await list(url, 'prompts') : [];
  await Promise.all([
    ...calls,
    ...resources.map(({ uri }) => settled(url, 'resources/read', { uri })),
    ...prompts.map(({ name }) => settled(url, 'prompts/get', { name })),
  ]);
}

const vmcp = await startVmcp();
// The suite waits for half a minute; whatever happens, vmcp ends before.
const deadline = new Promise((_done, fail) => setTimeout(fail, 25_000, new Error('it took too long')));
try {
  await Promise.race([useAll(vmcp.url), deadline]);
} catch (error) {
  console.log(`failed: ${error.stack}`);
  process.exitCode = 1;
}
ending.abort();
await vmcp.end();
process.exit();
