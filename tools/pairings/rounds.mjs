// The round that every client of TypeScript does, and how it is asked for: rounds.py in JavaScript.
//
//   run(connect)
//
// connect(job) opens a connection as the job says and gives a peer: era, told, progress and logs, and
// the methods that are used below, close() among them.
import { createInterface } from 'node:readline';

const TOOLS = 'echo add count work ask sample roots unlock grow'.split(' ');
const STEPS = 'list resource prompt echo add count work ask sample roots unlock grow'.split(' ');
const STEP_MILLISECONDS = 20_000;
// What is sent before an answer, or with it, may be read a moment after it.
const SETTLE_MILLISECONDS = 3_000;

// A peer's answer that is an error; the text says of which kind.
export class Refused extends Error {}

export const texts = (content) =>
  content
    .filter(({ type }) => type === 'text')
    .map(({ text }) => text)
    .join(' ');

// Every page of a list.
export async function whole(ask, what) {
  const found = [];
  let cursor;
  do {
    const page = await ask(cursor === undefined ? {} : { cursor });
    found.push(...page[what]);
    cursor = page.nextCursor;
  } while (cursor);
  return found;
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function until(condition) {
  const end = Date.now() + SETTLE_MILLISECONDS;
  while (!(await condition()) && Date.now() < end) await pause(20);
  return condition();
}

async function within(milliseconds, what) {
  let timer;
  const late = new Promise((_done, fail) => {
    timer = setTimeout(() => fail(new Refused('nothing in time')), milliseconds);
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function outcome(what) {
  try {
    return await within(STEP_MILLISECONDS, what());
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    return `error: ${error instanceof Refused ? error.message : error.constructor.name}`;
  }
}

// One connection and what comes of each step.
function stepsOf(peer, { prefix, server, mark }) {
  const call = async (tool, args = {}) => (await peer.call(prefix + tool, args)).text;
  const names = async () =>
    (await peer.tools()).filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const presence = (list, one) => (list.includes(one) ? 'listed' : 'not listed');
  return {
    // Other clients have left tools of their own on a server that all share.
    list: async () => (await names()).filter((name) => TOOLS.includes(name)).join(','),
    resource: async () => {
      const uri = `memo://${server}/note`;
      return `${presence(await peer.resources(), uri)}; ${await peer.read(uri)}`;
    },
    prompt: async () => {
      const name = `${prefix}greet`;
      return `${presence(await peer.prompts(), name)}; ${await peer.prompt(name, { who: 'Ann' })}`;
    },
    echo: () => call('echo', { message: 'hello' }),
    add: async () => String((await peer.call(`${prefix}add`, { a: 2, b: 3 })).structured?.sum),
    count: async () => [await call('count'), await call('count'), await call('count')].join(','),
    work: async () => {
      peer.progress = peer.logs = 0;
      const text = await call('work', { steps: 3 });
      await until(() => peer.progress >= 3 && peer.logs >= 3);
      return `${text}; progress ${peer.progress}, logs ${peer.logs}`;
    },
    ask: () => call('ask'),
    sample: () => call('sample'),
    roots: () => call('roots'),
    // A tool that appears in mid-session, is listed, and can be called.
    unlock: async () => {
      const secret = `secret_${mark}`;
      peer.told = 0;
      const said = [await call('unlock', { tool: secret })];
      said.push((await until(() => peer.told > 0)) ? 'told' : 'not told');
      await until(async () => (await names()).includes(secret));
      said.push(presence(await names(), secret));
      said.push(await outcome(() => call(secret)));
      return said.join('; ');
    },
    grow: () => call('grow', { tool: `grown_${mark}` }),
  };
}

async function done(connect, job) {
  let peer;
  try {
    peer = await within(job.seconds * 1000, connect(job));
    if (job.do === 'list') return { tools: await within(job.seconds * 1000, peer.tools()) };
    const steps = stepsOf(peer, job);
    const seen = { era: peer.era };
    for (const name of STEPS) seen[name] = await outcome(steps[name]);
    return seen;
  } catch (error) {
    console.error(error);
    return { failed: error instanceof Refused ? error.message : error.constructor.name };
  } finally {
    await peer?.close().catch((error) => console.error(error));
  }
}

export async function run(connect) {
  for await (const line of createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await done(connect, JSON.parse(line))));
  process.exit();
}

// What a client of either SDK answers when it is asked.
export const ANSWERS = {
  elicitation: () => ({ action: 'accept', content: { name: 'Ann' } }),
  roots: () => ({ roots: [{ uri: 'file:///first', name: 'first' }] }),
  sampling: ({ params: { messages } }) => {
    const [content] = [messages[0].content].flat();
    return { role: 'assistant', model: 'test', content: { type: 'text', text: `re: ${content.text}` } };
  },
};
