// The official TypeScript SDK of the modern era, as a client of either, reads lists among whose items are
// odd ones.
//
//   node odd_modern.mjs ADDRESS ERA    ERA is legacy or modern
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { inOrder } from './parts.mjs';

const [address, era] = process.argv.slice(2);

async function lists({ client }) {
  const { tools } = await client.listTools();
  const { resources } = await client.listResources();
  const { resourceTemplates } = await client.listResourceTemplates();
  const { prompts } = await client.listPrompts();
  return [tools, resources, resourceTemplates, prompts].flat().map(({ name }) => name).join(' ');
}

const mode = { legacy: 'legacy', modern: 'auto' }[era];
const client = new Client({ name: 'odd', version: '1' }, { versionNegotiation: { mode } });
const errors = [];
client.onerror = (error) => errors.push(error);
await client.connect(new StreamableHTTPClientTransport(new URL(address)), { timeout: 15_000 });
await inOrder([lists], { client, errors });
