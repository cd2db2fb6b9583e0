/** What other code put on Object.prototype is no option: it would change, or switch off, the protection of every adapter. */
import { describe, expect, test } from '@jest/globals';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { InMemoryStore } from '../../src/index.js';
import { observe } from './effects.js';
import { ADAPTERS, newStore } from './adapters.js';
import { optionTables } from './tables.js';
import { WRONG } from './wrong.js';

const everyObject = Object.prototype as unknown as Record<string, unknown>;

/** Where the servers, or what calls the adapters here, read a member of that name themselves. */
const NOT_OURS: readonly (readonly [RegExp, readonly string[]])[] = [
  [/express|fastify/i, ['headers', 'logger', 'methods', 'route', 'signal', 'prefix', 'handler', 'store']],
  [/express|fastify|fetch/i, ['idempotency', 'problem', 'host']],
  [/Consumer|Processor|consume|sqs/, ['idempotency', 'maxAttempts']],
];

async function whilePolluted<T>(members: Record<string, unknown>, run: () => Promise<T>): Promise<T> {
  Object.assign(everyObject, members);
  try {
    return await run();
  } finally {
    for (const name of Object.keys(members)) delete everyObject[name];
  }
}

describe.each(Object.entries(ADAPTERS))('%s', (label, adapter) => {
  const names = Object.keys({ ...adapter.own, ...adapter.outer }).filter(
    (name) => !NOT_OURS.some(([adapters, left]) => adapters.test(label) && left.includes(name)),
  );

  test.each(names)('a %s of every object is none of its options', async (name) => {
    const [wrong] = WRONG[name]?.length ? WRONG[name] : [Symbol('wrong')];
    const seen = await whilePolluted({ [name]: wrong }, () => observe(adapter, { store: newStore() }));
    expect({ error: seen.error, runs: seen.runs }).toEqual({ error: undefined, runs: 1 });
    expect(seen.claimed).toBeDefined();
  });
});

test.each(Object.keys(optionTables.InMemoryStore))('InMemoryStore: %s', async (name) => {
  await whilePolluted({ [name]: Symbol('wrong') }, async () => new InMemoryStore());
});

test('a skip and an onStoreError of every object do not switch the protection off', async () => {
  let runs = 0;
  await whilePolluted({ onStoreError: 'run', skip: () => true, required: false }, async () => {
    const handle = fetchIdempotency({ store: new InMemoryStore(), scope: 'shared' });
    const POST = handle(async () => new Response(String(++runs)));
    const headers = { 'idempotency-key': 'k' };
    for (let times = 0; times < 2; times++)
      await POST(new Request('http://h/o', { method: 'POST', headers }));
  });
  expect(runs).toBe(1);
});
