// One client of the modern era in the official TypeScript SDK, which can do all that a server may ask
// of it.
//
//   connect(ADDRESS)  speaks the modern era, or nothing
import assert from 'node:assert/strict';
import { Client, LOG_LEVEL_META_KEY, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

export const MODERN = '2026-07-28';

const FOLDER = { uri: 'file:///first', name: 'first' };

export async function connect(address) {
  const client = new Client(
    { name: 'typescript', version: '2' },
    {
      capabilities: { sampling: {}, elicitation: { form: {} }, roots: {} },
      versionNegotiation: { mode: 'auto' },
    },
  );
  const errors = [];
  const asked = [];
  const seen = [];
  client.onerror = (error) => errors.push(error);
  client.fallbackNotificationHandler = async (notification) => {
    seen.push(notification);
  };
  const answers = {
    'elicitation/create': () => ({ action: 'accept', content: { name: 'Ann' } }),
    'roots/list': () => ({ roots: [FOLDER] }),
    'sampling/createMessage': ({ messages: [{ content }] }) => ({
      role: 'assistant',
      model: 'test',
      content: { type: 'text', text: `re: ${content.text}` },
    }),
  };
  for (const [method, answer] of Object.entries(answers))
    client.setRequestHandler(method, async ({ params }) => {
      asked.push(method);
      return answer(params);
    });
  await client.connect(new StreamableHTTPClientTransport(new URL(address)), { timeout: 15_000 });
  assert.equal(client.getNegotiatedProtocolVersion(), MODERN);
  return { client, errors, asked, seen };
}

// The text of a call's result. Every call asks for log messages.
export async function call({ client }, name, args = {}, options = {}) {
  const request = { name, arguments: args, _meta: { [LOG_LEVEL_META_KEY]: 'info' } };
  const result = await client.callTool(request, { timeout: 20_000, ...options });
  assert(!result.isError, `${name}: ${JSON.stringify(result)}`);
  return result.content.map((part) => part.text ?? '').join(' ');
}
