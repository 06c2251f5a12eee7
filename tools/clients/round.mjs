// The whole round of the official TypeScript SDK against server-everything.
//
//   node round.mjs ADDRESS PREFIX [direct]
//
// `direct` takes in what vmcp cannot do, and leaves out what only vmcp promises: that the session
// outlives the server.
import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { NEWEST_LEGACY, call, connect } from './client.mjs';
import { ask, inOrder, sleep, until } from './parts.mjs';

const [address, prefix, direct] = process.argv.slice(2);
const DOCUMENT = 'demo://resource/static/document/features.md';

const refused = (code) => (error) => error.code === code;

async function hello({ client }) {
  const { tools, resources, prompts, logging, completions } = client.getServerCapabilities();
  assert(tools && resources?.subscribe && prompts && logging && completions, 'capabilities');
  assert.equal(client.transport.protocolVersion ?? NEWEST_LEGACY, NEWEST_LEGACY);
  assert.deepEqual(await client.ping(), {});
}

async function lists({ client }) {
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  assert(tools.every((name) => name.startsWith(prefix)), tools.join());
  for (const name of ['echo', 'get-roots-list', 'trigger-url-elicitation'])
    assert(tools.includes(prefix + name), `${name} in ${tools}`);
  const { resources } = await client.listResources();
  assert(resources.some(({ uri }) => uri === DOCUMENT), 'the document is listed');
  const templates = (await client.listResourceTemplates()).resourceTemplates;
  assert(templates.some(({ uriTemplate }) => uriTemplate.includes('{resourceId}')), 'templates');
  const { prompts } = await client.listPrompts();
  assert(prompts.some(({ name }) => name === `${prefix}simple-prompt`), 'prompts');
  return `${tools.length} tools, ${resources.length} resources, ${prompts.length} prompts`;
}

async function calls(context) {
  const { client } = context;
  assert.match(await call(context, 'echo', { message: 'grüß dich' }), /grüß dich/);
  assert.match(await call(context, 'get-sum', { a: 2, b: 3.5 }), /5\.5/);
  const weather = { name: `${prefix}get-structured-content`, arguments: { location: 'Chicago' } };
  assert.equal((await client.callTool(weather)).structuredContent.temperature, 36);
  const image = await client.callTool({ name: `${prefix}get-tiny-image`, arguments: {} });
  const bytes = Buffer.from(image.content.find(({ type }) => type === 'image').data, 'base64');
  assert.equal(bytes.subarray(1, 4).toString(), 'PNG');
  const wrong = await client.callTool({ name: `${prefix}get-sum`, arguments: { a: 'two' } });
  assert(wrong.isError, JSON.stringify(wrong));
}

async function unknownTool({ client }) {
  // A server may say so in a result, which is what server-everything does; a gateway cannot.
  const outcome = client.callTool({ name: `${prefix}no-such-tool`, arguments: {} });
  const error = await outcome.then(({ isError }) => isError, refused(-32602));
  assert(error, 'an unknown tool');
}

async function reads({ client }) {
  assert.match((await client.readResource({ uri: DOCUMENT })).contents[0].text, /# /);
  const dynamic = 'demo://resource/dynamic';
  const [text] = (await client.readResource({ uri: `${dynamic}/text/7` })).contents;
  assert.match(text.text, /^Resource 7/);
  const [blob] = (await client.readResource({ uri: `${dynamic}/blob/7` })).contents;
  assert.match(Buffer.from(blob.blob, 'base64').toString(), /^Resource 7/);
  const nowhere = client.readResource({ uri: 'demo://nowhere' });
  await assert.rejects(nowhere, ({ code }) => code === -32002 || code === -32602);
}

async function prompts({ client }) {
  const simple = await client.getPrompt({ name: `${prefix}simple-prompt` });
  assert(simple.messages[0].content.text);
  const args = { city: 'Linz', state: 'Upper Austria' };
  const asked = await client.getPrompt({ name: `${prefix}args-prompt`, arguments: args });
  assert.match(asked.messages[0].content.text, /Linz, Upper Austria/);
}

async function completion({ client }) {
  const ref = { type: 'ref/prompt', name: `${prefix}completable-prompt` };
  const department = { ref, argument: { name: 'department', value: 'E' } };
  assert.deepEqual((await client.complete(department)).completion.values, ['Engineering']);
  const context = { arguments: { department: 'Sales' } };
  const name = { ref, argument: { name: 'name', value: 'D' }, context };
  assert.deepEqual((await client.complete(name)).completion.values, ['David']);
  const uri = 'demo://resource/dynamic/text/{resourceId}';
  const id = { ref: { type: 'ref/resource', uri }, argument: { name: 'resourceId', value: '5' } };
  assert.deepEqual((await client.complete(id)).completion.values, ['5']);
}

async function progress(context) {
  const steps = [];
  const onprogress = ({ progress, total }) => steps.push(`${progress}/${total}`);
  const long = { duration: 0.8, steps: 4 };
  await call(context, 'trigger-long-running-operation', long, { onprogress });
  // The SDK forgets the token once it has the result, which is why the last step may be lost to it.
  assert.deepEqual(steps.slice(0, 3), ['1/4', '2/4', '3/4']);
}

async function questions(context) {
  const asked = { prompt: 'say something', maxTokens: 10 };
  assert.match(await call(context, 'trigger-sampling-request', asked), /sampled by the client/);
  assert.match(await call(context, 'trigger-elicitation-request'), /Ann/);
  const page = { url: 'https://example.org/sign', elicitationId: 'sign' };
  assert.match(await call(context, 'trigger-url-elicitation', page), /completed/);
}

// The error of a server arrives with its data, and the same call goes on once it is dealt with.
async function urlRequired(context) {
  const page = { url: 'https://example.org/sign', errorPath: true };
  await assert.rejects(call(context, 'trigger-url-elicitation', page), (error) => {
    assert.equal(error.code, -32042, error.stack);
    assert.equal(error.data.elicitations[0].url, 'https://modelcontextprotocol.io');
    return true;
  });
  assert.match(await call(context, 'trigger-url-elicitation', page), /completed/);
}

async function roots(context) {
  assert.match(await call(context, 'get-roots-list'), /file:\/\/\/first/);
  context.roots.push({ uri: 'file:///second', name: 'second' });
  await context.client.sendRootsListChanged();
  const second = async () => /second/.test(await call(context, 'get-roots-list'));
  await until('the server asks for the roots again', second);
}

async function cancelled(context) {
  const progress = [];
  const options = { signal: AbortSignal.timeout(300), onprogress: (step) => progress.push(step) };
  const long = { duration: 0.9, steps: 9 };
  await assert.rejects(call(context, 'trigger-long-running-operation', long, options));
  assert(progress.length > 0 && progress.length < 9, `${progress.length} steps`);
  await sleep(900);
  const answered = context.errors.filter(({ message }) => /operation completed.*Steps: 9/.test(message));
  assert.deepEqual(answered, [], 'a cancelled call is not answered');
  assert.match(await call(context, 'echo', { message: 'still here' }), /still here/);
}

const updates = (seen) => seen.filter(({ method }) => method === 'notifications/resources/updated');
const messages = (seen) => seen.filter(({ method }) => method === 'notifications/message');

async function subscriptions(context) {
  const { client, seen } = context;
  await client.subscribeResource({ uri: DOCUMENT });
  await call(context, 'toggle-subscriber-updates');
  const [update] = await until('a resource is updated', () => updates(seen).length && updates(seen));
  assert.equal(update.params.uri, DOCUMENT);
  await call(context, 'toggle-subscriber-updates');
}

async function logging(context) {
  const { client, seen } = context;
  const subscribed = () => messages(seen).some(({ params }) => /Received Subscribe/.test(params.data));
  await client.setLoggingLevel('debug');
  seen.length = 0;
  await client.subscribeResource({ uri: DOCUMENT });
  await until('the server logs', subscribed);
  await client.setLoggingLevel('error');
  seen.length = 0;
  await client.subscribeResource({ uri: DOCUMENT });
  await sleep(300);
  assert(!subscribed(), 'the level is kept');
  await client.setLoggingLevel('debug');
}

async function listChanged(context) {
  const { client, seen } = context;
  const changed = () => seen.some(({ method }) => method === 'notifications/resources/list_changed');
  const name = `typescript-${process.pid}.gz`;
  seen.length = 0;
  await call(context, 'gzip-file-as-resource', { name, data: 'data:text/plain,packed' });
  await until('the list of resources changed', changed);
  const uri = `demo://resource/session/${name}`;
  const listed = async () => (await client.listResources()).resources.some((one) => one.uri === uri);
  await until('the new resource is listed', listed);
  const [{ blob }] = (await client.readResource({ uri })).contents;
  assert.equal(gunzipSync(Buffer.from(blob, 'base64')).toString(), 'packed');
}

// The server's task, with a question in the middle of it.
async function serverTask({ client }) {
  const request = { name: `${prefix}simulate-research-query`, arguments: { topic: 'x', ambiguous: true } };
  const statuses = new Set();
  for await (const message of client.experimental.tasks.callToolStream(request, undefined, { task: {} })) {
    if (message.type === 'taskStatus') statuses.add(message.task.status);
    if (message.type === 'error') throw message.error;
    if (message.type === 'result') {
      assert.match(message.result.content[0].text, /\(technical\)/);
      return `task: ${[...statuses].join(' ')}`;
    }
  }
  throw new Error('the task gave no result');
}

// The client's task: the server asks, is given a task, asks how it is, and takes its result.
async function clientTask(context) {
  const told = await call(context, 'trigger-elicitation-request-async');
  assert.match(told, /\[COMPLETED\][^]*Ann/);
}

// The server dies and comes back: level and subscriptions are as they were.
async function outlivesTheServer(context) {
  const { client, seen } = context;
  await client.subscribeResource({ uri: DOCUMENT });
  await client.setLoggingLevel('error');
  await ask('restart');
  let failures = 0;
  const back = async () => {
    const outcome = call(context, 'echo', { message: 'again' });
    return outcome.then((text) => /again/.test(text), (error) => {
      console.log(`meanwhile: ${error.message}`);
      failures += 1;
      assert(failures <= 1, 'the server is back, so at most one call fails');
    });
  };
  await until('the session goes on', back);
  seen.length = 0;
  await call(context, 'toggle-subscriber-updates');
  await until('the subscription was replayed', () => updates(seen).length);
  await client.unsubscribeResource({ uri: DOCUMENT });
  await sleep(300);
  assert.deepEqual(messages(seen), [], 'the level was replayed');
  return `after kill -9 ${failures} call failed`;
}

async function goodbye({ client }) {
  await client.transport.terminateSession?.();
  await client.close();
}

const parts = [
  hello, lists, calls, unknownTool, reads, prompts, completion, progress, questions, urlRequired,
  roots, cancelled, subscriptions, logging, serverTask, clientTask,
];
parts.push(direct ? listChanged : outlivesTheServer, goodbye);

const context = { ...(await connect(address)), prefix };
await inOrder(parts, context);
