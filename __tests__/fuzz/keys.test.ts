import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { hashKey } from '../../src/keys/index.js';
import { InMemoryStore } from '../../src/stores/memory/store.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import type { LeaseStore } from '../../src/core/store.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { endOf, expectCoded, forAll, TEST_MS, watchPrototypes } from './cases.js';
import { anyText, anyValue, wrongValue } from './values.js';

watchPrototypes('keys');

let server: PrivateRedis;
beforeAll(async () => (server = await startRedis()));
afterAll(() => server.stop());

/** Two calls under one key: the work runs once, or never, and then both are refused alike. */
async function runTwice(store: LeaseStore, key: unknown, where: object = {}): Promise<void> {
  const idempotency = createIdempotency({ name: 'run', store, logger: {} });
  let runs = 0;
  const call = () => idempotency.run(key as string, () => ++runs, where);
  const first = await endOf(call);
  const second = await endOf(call);
  expectCoded(first);
  expectCoded(second);
  if ('error' in first) {
    expect(runs).toBe(0);
    expect(second).toMatchObject({ error: { code: (first.error as { code: string }).code } });
  } else {
    expect([first, second, runs]).toEqual([{ value: 1 }, { value: 1 }, 1]);
    expect(await idempotency.get(key as string, where)).toMatchObject({ key, result: 1 });
    await idempotency.forget(key as string, where);
  }
}

test(
  'any text and any value as a key runs its work once, or is refused with a code (G10)',
  () => {
    const store = new InMemoryStore();
    return forAll({ few: 2_000, many: 40_000 }, fc.oneof(anyText, wrongValue), (key) => runTwice(store, key));
  },
  TEST_MS,
);

test(
  'any prefix, name and scope keep their records apart, or are refused with a code (G10)',
  () => {
    const store = new InMemoryStore();
    const part = fc.oneof(anyText, wrongValue, fc.constant(undefined));
    const where = fc.record({ prefix: part, name: part, scope: part }, { requiredKeys: [] });
    return forAll({ few: 1_000, many: 15_000 }, where, (given) => runTwice(store, 'order-1', given));
  },
  TEST_MS,
);

test(
  'the same on a Redis server',
  async () => {
    const store = new RedisStore(server.url);
    await forAll({ few: 500, many: 8_000 }, anyText, (key) => runTwice(store, key));
    await store.close();
  },
  TEST_MS,
);

test(
  'hashKey of any values is a key, the same for equal values, or INVALID_KEY',
  () =>
    forAll({ few: 500, many: 10_000 }, fc.array(anyValue, { maxLength: 3 }), async (values) => {
      const hash = () => hashKey(...values.map(({ make }) => make()));
      const [one, two] = [await endOf(hash), await endOf(hash)];
      if ('error' in one) expect(one.error).toMatchObject({ code: 'INVALID_KEY' });
      else expect([one, String(one.value)]).toEqual([two, expect.stringMatching(/^[\da-f]{32}$/)]);
    }),
  TEST_MS,
);
