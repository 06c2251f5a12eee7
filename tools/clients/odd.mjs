// The official TypeScript SDK of the legacy era reads lists among whose items are odd ones.
//
//   node odd.mjs ADDRESS legacy
import assert from 'node:assert/strict';
import { connect } from './client.mjs';
import { inOrder } from './parts.mjs';

const [address, era] = process.argv.slice(2);
assert.equal(era, 'legacy');

async function lists({ client }) {
  const { tools } = await client.listTools();
  const { resources } = await client.listResources();
  const { resourceTemplates } = await client.listResourceTemplates();
  const { prompts } = await client.listPrompts();
  return [tools, resources, resourceTemplates, prompts].flat().map(({ name }) => name).join(' ');
}

await inOrder([lists], await connect(address));
