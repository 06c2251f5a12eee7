// The whole round of the modern era: the official TypeScript SDK before modern_server.*
//
//   node modern_round.mjs ADDRESS NAME [direct]
//
// NAME is that of one server, as a backend of vmcp and in its URIs. Others may stand beside it, but
// where it is spoken to directly.
import assert from 'node:assert/strict';
import { MODERN, call, connect } from './modern_client.mjs';
import { inOrder, until, whole } from './parts.mjs';

const [address, name, direct] = process.argv.slice(2);
const MEMO = `memo://${name}`;
const INVALID_PARAMS = -32602;

const named = (tool) => (direct ? tool : `${name}_${tool}`);
const refused = ({ code }) => code === INVALID_PARAMS;

async function hello({ client }) {
  const { tools, resources, prompts, completions } = client.getServerCapabilities();
  assert(tools && resources && prompts && completions, 'capabilities');
  assert((await client.discover()).supportedVersions.includes(MODERN));
  assert(client.getInstructions().includes(`This is ${name}.`), client.getInstructions());
}

// All of a list, and how many pages it has come in.
const pages = (list, member) =>
  whole(async () => {
    const found = [];
    // An empty cursor is a cursor, without which the SDK reads all pages at once.
    let cursor = '';
    let count = 0;
    for (; cursor !== undefined; count++) {
      const page = await list({ cursor });
      found.push(...page[member]);
      cursor = page.nextCursor;
    }
    return { found, count };
  });

async function lists({ client }) {
  const { found: tools, count } = await pages((at) => client.listTools(at), 'tools');
  const names = tools.map((tool) => tool.name);
  for (const tool of ['echo', 'add', 'region', 'ask', 'ask_all', 'wait', 'touch'])
    assert(names.includes(named(tool)), `${tool} in ${names}`);
  assert.equal(new Set(names).size, names.length, names.join());
  assert(count > 1 || direct, 'the list has pages');
  // The SDK takes what it knows of a tool's headers from the list that it reads by itself.
  assert((await whole(() => client.listTools())).tools.length >= names.length, 'the same list');
  const { resources } = await client.listResources();
  assert(resources.some(({ uri }) => uri === `${MEMO}/static`), 'resources');
  const { resourceTemplates } = await client.listResourceTemplates();
  assert(resourceTemplates.some(({ uriTemplate }) => uriTemplate === `${MEMO}/note/{number}`));
  const { prompts } = await client.listPrompts();
  assert(prompts.some((prompt) => prompt.name === named('greet')), 'prompts');
  return `${names.length} tools in ${count} pages`;
}

async function calls(context) {
  const said = await call(context, named('echo'), { message: 'grüß dich' });
  assert.equal(said, `${name}: grüß dich`);
  const sum = { name: named('add'), arguments: { a: 2, b: 3.5 } };
  assert.deepEqual((await context.client.callTool(sum)).structuredContent, { sum: 5.5 });
  await assert.rejects(call(context, named('no_such_tool')), refused);
}

// A parameter that stands in a header too, with what a header cannot hold as it is.
async function headers(context) {
  assert.equal(await call(context, named('region'), { region: 'west' }), 'west in west');
  const coded = await call(context, named('region'), { region: 'Österreich' });
  assert.equal(coded, 'Österreich in =?base64?w5ZzdGVycmVpY2g=?=');
}

async function reads({ client }) {
  const read = async (uri) => (await client.readResource({ uri })).contents[0].text;
  assert.equal(await read(`${MEMO}/static`), `the memo of ${name}`);
  assert.equal(await read(`${MEMO}/note/7`), 'note 7');
  await assert.rejects(read('memo://nowhere'), refused);
}

async function prompts({ client }) {
  const text = ({ messages }) => messages[0].content.text;
  const greet = { name: named('greet'), arguments: { who: 'Bob' } };
  assert.equal(text(await client.getPrompt(greet)), 'Greet Bob.');
  assert.equal(text(await client.getPrompt({ name: named('interview') })), 'Interview Ann.');
  const ref = { type: 'ref/prompt', name: named('greet') };
  const { completion } = await client.complete({ ref, argument: { name: 'who', value: 'An' } });
  assert.deepEqual(completion.values, ['Ann', 'Anton']);
}

async function questions(context) {
  context.asked.length = 0;
  assert.equal(await call(context, named('ask')), 'You are Ann');
  const said = await call(context, named('ask_all'));
  assert.equal(said, 'Ann, re: A poem about Ann, file:///first');
  const asked = ['elicitation/create', 'elicitation/create', 'roots/list', 'sampling/createMessage'];
  assert.deepEqual(context.asked.sort(), asked);
}

async function progress(context) {
  const steps = [];
  const onprogress = ({ progress, total, message }) => steps.push(`${progress}/${total} ${message}`);
  assert.equal(await call(context, named('work'), { steps: 3 }, { onprogress }), 'done');
  assert.deepEqual(steps, ['1/3 step 1', '2/3 step 2', '3/3 step 3']);
  const logged = context.seen.filter(({ method }) => method === 'notifications/message');
  // What is below the level is not sent.
  assert.deepEqual(logged.map(({ params }) => params.data), ['step 1', 'step 2', 'step 3']);
}

async function cancelled(context) {
  const steps = [];
  const ending = new AbortController();
  const count = async () => Number(await call(context, named('cancelled')));
  const before = await count();
  const options = { signal: ending.signal, onprogress: (step) => steps.push(step) };
  const waiting = assert.rejects(call(context, named('wait'), {}, options));
  await until('the call is under way', () => steps.length);
  ending.abort();
  await waiting;
  await until('the server knows that nobody waits', async () => (await count()) === before + 1);
}

async function subscriptions(context) {
  const { client, seen } = context;
  const counter = `${MEMO}/counter`;
  const grown = `grown_${process.pid}`;
  const filter = { toolsListChanged: true, resourceSubscriptions: [counter] };
  const subscription = await client.listen(filter);
  assert.deepEqual(subscription.honoredFilter, filter);
  const came = (method) => seen.find((notification) => notification.method === method);
  const touched = await call(context, named('touch'));
  const update = await until('an update', () => came('notifications/resources/updated'));
  assert.equal(update.params.uri, counter);
  const [read] = (await client.readResource({ uri: counter }, { cacheMode: 'refresh' })).contents;
  assert(Number(read.text) >= Number(touched), read.text);
  await call(context, named('grow'), { tool: grown });
  await until('the list of tools changed', () => came('notifications/tools/list_changed'));
  await until('the new tool is listed', async () => {
    const { tools } = await whole(() => client.listTools({}, { cacheMode: 'refresh' }));
    return tools.some((tool) => tool.name === named(grown));
  });
  await subscription.close();
  assert.equal(await subscription.closed, 'local');
  await call(context, named(grown));
}

const PARTS = [
  hello,
  lists,
  calls,
  headers,
  reads,
  prompts,
  questions,
  progress,
  cancelled,
  subscriptions,
];

await inOrder(PARTS, await connect(address));
