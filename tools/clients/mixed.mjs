// The official TypeScript SDK in front of six servers at once.
//
//   node mixed.mjs ADDRESS FOLDER REPOSITORY
//
// Leaves its session open, and the servers of it busy: whoever ends vmcp has to end them too.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { call, connect } from './client.mjs';
import { inOrder, until } from './parts.mjs';

const [address, folder, repository] = process.argv.slice(2);
const EVERYTHING = ['http', 'sse', 'stdio'];
const SERVERS = [...EVERYTHING, 'filesystem', 'git', 'time'].sort();

async function lists({ client }) {
  // A backend that is slow to start is announced when it has come.
  const tools = await until('the tools of all six are listed', async () => {
    const { tools } = await client.listTools();
    const servers = new Set(tools.map(({ name }) => name.split('_')[0]));
    return [...servers].sort().join() === SERVERS.join() && tools;
  });
  const prompts = (await client.listPrompts()).prompts.map(({ name }) => name);
  for (const one of EVERYTHING) assert(prompts.includes(`${one}_simple-prompt`), prompts.join());
  const uris = (await client.listResources()).resources.map(({ uri }) => uri);
  assert.equal(new Set(uris).size, uris.length, uris.join());
  for (const uri of uris) assert((await client.readResource({ uri })).contents.length);
  return `${tools.length} tools`;
}

async function files(context) {
  // The server is started with another folder; it takes this one from the client's roots, which it
  // asks for once its session is open.
  const path = join(folder, 'typescript.txt');
  const allowed = async () =>
    (await call(context, 'filesystem_list_allowed_directories')).includes(folder);
  await until("the server knows the client's roots", allowed);
  await call(context, 'filesystem_write_file', { path, content: 'written\n' });
  assert.match(await call(context, 'filesystem_read_text_file', { path }), /written/);
  assert.equal(readFileSync(path, 'utf8'), 'written\n');
}

async function clock(context) {
  const asked = { source_timezone: 'Europe/Vienna', time: '12:00', target_timezone: 'Asia/Tokyo' };
  assert.match(await call(context, 'time_convert_time', asked), /Asia\/Tokyo/);
  assert.match(await call(context, 'time_get_current_time', { timezone: 'UTC' }), /UTC/);
}

async function versions(context) {
  assert.match(await call(context, 'git_git_log', { repo_path: repository }), /The first commit/);
  assert.match(await call(context, 'git_git_status', { repo_path: repository }), /clean/);
}

// A question from each of three servers, while each has another call under way.
async function atOnce(context) {
  const long = { duration: 0.6, steps: 3 };
  const to = (name, args) => EVERYTHING.map((one) => call(context, `${one}_${name}`, args));
  const working = to('trigger-long-running-operation', long);
  const asking = to('trigger-elicitation-request');
  const messages = EVERYTHING.flatMap((one) => Array(20).fill(one));
  const echoes = messages.map((message) => call(context, `${message}_echo`, { message }));
  for (const answer of await Promise.all(asking)) assert.match(answer, /Ann/);
  assert.deepEqual(await Promise.all(echoes), messages.map((message) => `Echo: ${message}`));
  await Promise.all(working);
  return `${echoes.length + 6} calls at once`;
}

async function leftBusy(context) {
  for (const one of EVERYTHING) await call(context, `${one}_toggle-simulated-logging`);
}

const roots = [{ uri: pathToFileURL(folder).href, name: 'folder' }];
await inOrder([lists, files, clock, versions, atOnce, leftBusy], await connect(address, { roots }));
