// What every client here is made of: parts that go one after the other, and words with main.py.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Waits until the condition gives something, for at most ten seconds.
export async function until(what, condition) {
  for (let i = 0; i < 200; i++) {
    const found = await condition();
    if (found) return found;
    await sleep(50);
  }
  throw new Error(`it did not happen: ${what}`);
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Asks whoever started this program to do something, and waits until it is done.
export async function ask(what) {
  console.log(`ask: ${what}`);
  const { value } = await lines.next();
  assert.equal(value, 'done');
}

// Each part is a function with a name; what it returns is said in the last line.
export async function inOrder(parts, context) {
  const told = [];
  for (const part of parts) {
    try {
      const said = await part(context);
      if (said) told.push(said);
    } catch (error) {
      console.log(`failed: ${part.name}: ${error.stack}`);
      const others = context.errors.map(({ message }) => message.replace(/\s+/g, ' ').slice(0, 200));
      for (const other of new Set(others)) console.log(`  the SDK said: ${other}`);
      process.exit(1);
    }
  }
  console.log(`said: ${parts.length} parts: ${told.join(', ')}`);
  process.exit(0);
}

// What gives a list of some pages; anew where the list changed between two, as the error says.
export async function whole(list) {
  for (;;) {
    try {
      return await list();
    } catch (error) {
      if (!error.message.includes('list from the start')) throw error;
    }
  }
}
