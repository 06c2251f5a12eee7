// The official TypeScript SDK of the modern era before servers of both eras, as a client of either.
//
//   node across.mjs ADDRESS ERA NAME...
//
// ERA is legacy or modern; each NAME is a backend that is a modern_server.*, and `old` is a
// server-everything. Declares nothing that a server could ask for, which those of the other era could
// not be told. The last word that it says is a digest of all that it has listed.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { ask, inOrder, until, whole } from './parts.mjs';

const [address, era, ...names] = process.argv.slice(2);
const VERSIONS = { legacy: '2025-11-25', modern: '2026-07-28' };
const digest = createHash('sha256');
const seen = [];

const fresh = { cacheMode: 'refresh' };

async function call(client, name, args = {}, options = {}) {
  const result = await client.callTool({ name, arguments: args }, { timeout: 20_000, ...options });
  assert(!result.isError, `${name}: ${JSON.stringify(result)}`);
  return result.content.map((part) => part.text ?? '').join(' ');
}

/** Whose it is that a name or URI leads to. */
const backendOf = (key) => names.find((name) => key.replace('memo://', '').startsWith(name)) ?? 'old';

async function lists({ client }) {
  assert.equal(client.getNegotiatedProtocolVersion(), VERSIONS[era]);
  const tools = (await client.listTools({}, fresh)).tools.map(({ name }) => name);
  const resources = (await client.listResources({}, fresh)).resources.map(({ uri }) => uri);
  const { resourceTemplates } = await client.listResourceTemplates({}, fresh);
  const templates = resourceTemplates.map(({ uriTemplate }) => uriTemplate);
  const prompts = (await client.listPrompts({}, fresh)).prompts.map(({ name }) => name);
  for (const keys of [tools, resources, templates, prompts]) {
    // The backends in the order of the configuration, and none of them missing.
    const backends = keys.map(backendOf);
    assert.deepEqual(backends.filter((name, at) => name !== backends[at - 1]), [...names, 'old'], keys.join());
    digest.update([...keys, ''].join('\n'));
  }
  // All that are at it have read the same lists before one of them changes something.
  await ask('the others');
}

async function calls({ client }) {
  assert.match(await call(client, 'old_echo', { message: 'hello' }), /hello/);
  for (const name of names) {
    assert.equal(await call(client, `${name}_echo`, { message: 'hello' }), `${name}: hello`);
    const sum = await client.callTool({ name: `${name}_add`, arguments: { a: 1, b: 2 } });
    assert.deepEqual(sum.structuredContent, { sum: 3 });
    // py serves older revisions itself, which have no such header.
    const header = era === 'legacy' && name === 'py' ? 'None' : 'west';
    assert.equal(await call(client, `${name}_region`, { region: 'west' }), `west in ${header}`);
  }
}

async function reads({ client }) {
  const text = async (uri) => (await client.readResource({ uri })).contents[0].text;
  assert.match(await text('demo://resource/static/document/features.md'), /# /);
  for (const name of names) assert.equal(await text(`memo://${name}/note/7`), 'note 7');
}

async function prompts({ client }) {
  const place = { city: 'Linz', state: 'Upper Austria' };
  const asked = await client.getPrompt({ name: 'old_args-prompt', arguments: place });
  assert.match(asked.messages[0].content.text, /Linz, Upper Austria/);
  for (const name of names) {
    const ref = { type: 'ref/prompt', name: `${name}_greet` };
    const { completion } = await client.complete({ ref, argument: { name: 'who', value: 'An' } });
    assert.deepEqual(completion.values, ['Ann', 'Anton']);
  }
}

async function progress({ client }) {
  const steps = async (name, args) => {
    const done = [];
    const onprogress = ({ progress, total }) => done.push(`${progress}/${total}`);
    await call(client, name, args, { onprogress });
    return done.join();
  };
  const long = { duration: 0.4, steps: 2 };
  assert.equal(await steps('old_trigger-long-running-operation', long), '1/2,2/2');
  for (const name of names) assert.equal(await steps(`${name}_work`, { steps: 2 }), '1/2,2/2');
}

async function listChanged({ client }) {
  const subscription = era === 'modern' ? await client.listen({ toolsListChanged: true }) : null;
  const grown = `grown_${process.pid}`;
  for (const name of names) {
    seen.length = 0;
    await call(client, `${name}_grow`, { tool: grown });
    await until('the list of tools changed', () =>
      seen.some(({ method }) => method === 'notifications/tools/list_changed'),
    );
    await until('the new tool is listed', async () => {
      const { tools } = await whole(() => client.listTools({}, fresh));
      return tools.some((tool) => tool.name === `${name}_${grown}`);
    });
  }
  await subscription?.close();
  return digest.digest('hex');
}

const mode = { legacy: 'legacy', modern: 'auto' }[era];
const client = new Client({ name: 'across', version: '1' }, { versionNegotiation: { mode } });
const errors = [];
client.onerror = (error) => errors.push(error);
client.fallbackNotificationHandler = async (notification) => {
  seen.push(notification);
};
await client.connect(new StreamableHTTPClientTransport(new URL(address)), { timeout: 15_000 });
await inOrder([lists, calls, reads, prompts, progress, listChanged], { client, errors });
