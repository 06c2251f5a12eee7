// A server of the modern era in the official TypeScript SDK, which has one of everything.
//
//   node modern_server.mjs NAME PORT
//
// modern_server.py offers the same. NAME stands in its URIs, so that two of them do not meet.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  McpServer,
  ResourceTemplate,
  acceptedContent,
  completable,
  createMcpHandler,
  fromJsonSchema,
  inputRequired,
  inputResponse,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

const [name, port] = process.argv.slice(2);
const state = { touched: 0, cancelled: 0, grown: [] };
const text = (said) => ({ content: [{ type: 'text', text: said }] });
const Person = z.object({ name: z.string() });
const who = () => inputRequired.elicit({ message: 'Who are you?', requestedSchema: Person });

function askAll(_none, { mcpReq: { inputResponses, requestState } }) {
  // What the first round has brought comes back in the second one's state.
  const before = requestState() ?? {};
  const person = before.person ?? acceptedContent(inputResponses, 'who', Person);
  if (!person) return inputRequired({ inputRequests: { who: who(), folders: inputRequired.listRoots() } });
  const [folder] = before.folder ? [before.folder] : inputResponse(inputResponses, 'folders').roots;
  const poem = inputResponse(inputResponses, 'poem');
  if (poem.kind === 'missing') {
    const content = { type: 'text', text: `A poem about ${person.name}` };
    const asked = { messages: [{ role: 'user', content }], maxTokens: 10 };
    return inputRequired({
      inputRequests: { poem: inputRequired.createMessage(asked) },
      requestState: JSON.stringify({ person, folder }),
    });
  }
  return text(`${person.name}, ${poem.result.content.text}, ${folder.uri}`);
}

async function work({ steps }, { mcpReq }) {
  for (let step = 1; step <= steps; step++) {
    const said = { progress: step, total: steps, message: `step ${step}` };
    const { progressToken } = mcpReq._meta ?? {};
    if (progressToken !== undefined)
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, ...said } });
    await mcpReq.log('info', `step ${step}`);
    await mcpReq.log('debug', 'nobody asked for this');
  }
  return text('done');
}

async function wait(_none, { mcpReq }) {
  const { progressToken } = mcpReq._meta ?? {};
  const params = { progressToken, progress: 1, total: 2, message: 'waiting' };
  await mcpReq.notify({ method: 'notifications/progress', params });
  await new Promise((done) => mcpReq.signal.addEventListener('abort', done));
  state.cancelled += 1;
  return text('it was cancelled');
}

function offer(server) {
  const tool = (named, inputSchema, run) => server.registerTool(named, { inputSchema }, run);
  const none = z.object({});
  tool('echo', z.object({ message: z.string() }), ({ message }) => text(`${name}: ${message}`));
  server.registerTool(
    'add',
    { inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }) },
    ({ a, b }) => ({ ...text(String(a + b)), structuredContent: { sum: a + b } }),
  );
  const region = { type: 'string', 'x-mcp-header': 'Region' };
  const marked = { type: 'object', properties: { region }, required: ['region'] };
  tool('region', fromJsonSchema(marked), ({ region }, { http }) =>
    text(`${region} in ${http.req.headers.get('mcp-param-region')}`),
  );
  tool('work', z.object({ steps: z.number().int() }), work);
  tool('ask', none, (_none, { mcpReq: { inputResponses } }) => {
    const person = acceptedContent(inputResponses, 'who', Person);
    return person ? text(`You are ${person.name}`) : inputRequired({ inputRequests: { who: who() } });
  });
  tool('ask_all', none, askAll);
  tool('wait', none, wait);
  const cancelled = () => text(String(state.cancelled));
  for (const named of ['cancelled', ...state.grown]) tool(named, none, cancelled);
  tool('grow', z.object({ tool: z.string() }), ({ tool }) => {
    state.grown.push(tool);
    handler.notify.toolsChanged();
    return text(`there is ${tool} now`);
  });
  tool('touch', none, () => {
    state.touched += 1;
    handler.notify.resourceUpdated(`memo://${name}/counter`);
    return text(String(state.touched));
  });

  const contents = (uri, said) => ({ contents: [{ uri: uri.href, text: said }] });
  const memo = `memo://${name}`;
  server.registerResource('static', `${memo}/static`, {}, (uri) => contents(uri, `the memo of ${name}`));
  server.registerResource('counter', `${memo}/counter`, {}, (uri) => contents(uri, String(state.touched)));
  const notes = new ResourceTemplate(`${memo}/note/{number}`, { list: undefined });
  server.registerResource('note', notes, {}, (uri, { number }) => contents(uri, `note ${number}`));

  const said = (words) => ({ messages: [{ role: 'user', content: { type: 'text', text: words } }] });
  const known = ['Ann', 'Anton', 'Berta'];
  const one = completable(z.string(), (value) => known.filter((other) => other.startsWith(value)));
  server.registerPrompt('greet', { argsSchema: z.object({ who: one }) }, ({ who }) => said(`Greet ${who}.`));
  server.registerPrompt('interview', {}, ({ mcpReq: { inputResponses } }) => {
    const person = acceptedContent(inputResponses, 'who', Person);
    return person ? said(`Interview ${person.name}.`) : inputRequired({ inputRequests: { who: who() } });
  });
  return server;
}

const capabilities = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  prompts: { listChanged: true },
  logging: {},
};
const requestState = { verify: (sealed) => JSON.parse(sealed) };
const handler = createMcpHandler(
  () =>
    offer(
      new McpServer(
        { name, version: '1' },
        { capabilities, requestState, instructions: `This is ${name}.` },
      ),
    ),
  { legacy: 'reject', onerror: (error) => console.error(error) },
);
createServer(toNodeHandler(handler)).listen(Number(port), '127.0.0.1');
