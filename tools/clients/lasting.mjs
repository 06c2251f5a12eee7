// A client of the official TypeScript SDK whose replicas die while it works.
//
//   lasting.mjs ADDRESS PREFIX
//
// It counts on one session, and says how many calls failed.
import assert from 'node:assert/strict';
import { call, connect } from './client.mjs';
import { inOrder } from './parts.mjs';

const [address, prefix] = process.argv.slice(2);
const SECONDS = 8;

async function counts(context) {
  const end = Date.now() + SECONDS * 1000;
  let [count, failed, unsure] = [0, 0, 0];
  while (Date.now() < end) {
    let said;
    try {
      said = Number(await call(context, 'count', {}, { timeout: 5_000 }));
    } catch (error) {
      // The replica died that had the call, which may have run.
      console.log(`meanwhile: ${error.message}`);
      failed += 1;
      unsure += 1;
      continue;
    }
    assert(count < said && said <= count + 1 + unsure, `${said} after ${count}: it begins anew`);
    [count, unsure] = [said, 0];
  }
  assert(count > 100, `${count}`);
  assert(failed <= 4, `${failed} calls failed`);
  return `counted to ${count}, ${failed} calls failed`;
}

async function goodbye({ client }) {
  await client.transport.terminateSession?.();
  await client.close();
}

const context = { ...(await connect(address)), prefix };
await inOrder([counts, goodbye], context);
