// One client of the official TypeScript SDK, which can do all that a server may ask of it, and
// remembers every notification.
//
//   connect(ADDRESS)  http://…/mcp, http://…/sse, or `stdio:` and a command as a JSON array
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

export const NEWEST_LEGACY = '2025-11-25';

const capabilities = {
  sampling: {},
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
  tasks: { list: {}, cancel: {}, requests: { elicitation: { create: {} } } },
};

// Answers every question; a question that asks to be a task becomes one.
async function elicited(request, { taskStore }) {
  const { mode, requestedSchema, task: wanted } = request.params;
  const name = requestedSchema?.properties?.interpretation ? 'interpretation' : 'name';
  const value = name === 'name' ? 'Ann' : 'technical';
  const result = mode === 'url' ? { action: 'accept' } : { action: 'accept', content: { [name]: value } };
  if (!wanted) return result;
  const task = await taskStore.createTask({ ttl: wanted.ttl ?? null });
  await taskStore.storeTaskResult(task.taskId, 'completed', result);
  return { task };
}

function transportTo(address) {
  if (address.startsWith('stdio:')) {
    const [command, ...args] = JSON.parse(address.slice('stdio:'.length));
    return new StdioClientTransport({ command, args, stderr: 'ignore' });
  }
  const url = new URL(address);
  return url.pathname.endsWith('/sse')
    ? new SSEClientTransport(url)
    : new StreamableHTTPClientTransport(url);
}

const FIRST = [{ uri: 'file:///first', name: 'first' }];

export async function connect(address, { roots = [...FIRST] } = {}) {
  const taskStore = new InMemoryTaskStore();
  const client = new Client({ name: 'typescript', version: '1' }, { capabilities, taskStore });
  const seen = [];
  const errors = [];
  client.onerror = (error) => errors.push(error);
  client.fallbackNotificationHandler = async (notification) => {
    seen.push(notification);
  };
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    role: 'assistant',
    model: 'test',
    content: { type: 'text', text: 'sampled by the client' },
  }));
  client.setRequestHandler(ElicitRequestSchema, elicited);
  client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots }));
  await client.connect(transportTo(address), { timeout: 15_000 });
  return { client, seen, errors, roots };
}

// The text of a call's result.
export async function call({ client, prefix = '' }, name, args = {}, options = {}) {
  const request = { name: prefix + name, arguments: args };
  const result = await client.callTool(request, undefined, { timeout: 20_000, ...options });
  assert(!result.isError, `${name}: ${JSON.stringify(result)}`);
  return result.content.map((part) => part.text ?? '').join(' ');
}
