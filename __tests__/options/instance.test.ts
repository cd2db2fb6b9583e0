import { describe, expect, test } from '@jest/globals';
import { createIdempotency, idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
import { fetchIdempotency } from '../../src/http/fetch.js';
import { idempotentConsumer } from '../../src/queue/consumer.js';
import { FaultyStore } from '../../src/testing/index.js';
import { errorOf } from '../support/deferred.js';
import { observe, suspiciousTtl } from './effects.js';
import { ADAPTERS } from './adapters.js';

const store = new InMemoryStore();

describe.each(Object.entries(ADAPTERS))('%s', (label, adapter) => {
  test('requireScope of the store refuses a run without a scope, and FaultyStore has that of its store', async () => {
    const strict = new FaultyStore(new InMemoryStore({ requireScope: true }));
    const seen = await observe(adapter, { store: strict });
    expect(seen).toMatchObject({ error: { code: 'INVALID_OPTIONS' }, runs: 0, claimed: undefined });
    const scope = adapter.form.scope === 'function' ? () => 's' : 's';
    // A plugin that nobody could call is refused when it is registered.
    const where = label === 'a route of Fastify' ? 'outer' : 'inner';
    expect(await observe(adapter, { store: strict, [where]: { scope } })).toMatchObject({
      error: undefined,
      runs: 1,
    });
  });

  test('a scope that is a number is refused, but for safe integers that HTTP gives', async () => {
    for (const number of [
      7.5,
      NaN,
      Infinity,
      2 ** 53,
      10n,
      ...(adapter.form.scope === 'function' ? [] : [7]),
    ]) {
      const scope = adapter.form.scope === 'value' ? number : () => number;
      const seen = await observe(adapter, { inner: { scope } });
      expect(seen).toMatchObject({ error: { code: 'INVALID_OPTIONS' }, runs: 0, claimed: undefined });
    }
  });

  test('a ttl that looks like the other unit is warned of once, not per call', async () => {
    const [least] = [suspiciousTtl(adapter)];
    for (const ttl of least === 3_600_000 ? [least] : [least, 86_400, 59_999]) {
      const told: string[] = [];
      const logger = { warn: (message: string) => void told.push(message) };
      const own = 'logger' in adapter.own ? { logger } : {};
      const outer = 'logger' in adapter.own ? {} : { logger };
      await observe(adapter, { outer, inner: { ttl, ...own }, isAlone: true, times: 3 });
      expect(told.filter((message) => message.includes('were probably meant'))).toHaveLength(1);
    }
  });
});

describe('the instance', () => {
  test('requireScope of an instance, a store or a call refuses a run without a scope', async () => {
    const strict = new InMemoryStore({ requireScope: true });
    const asks = [
      () => createIdempotency({ store, requireScope: true, name: 'n' }).run('k', () => 1),
      () => createIdempotency({ store: strict, name: 'n' }).run('k', () => 1),
      () => idempotent({ store: strict, key: 'k', execute: () => 1 }),
      () => idempotent({ store, requireScope: true, key: 'k', execute: () => 1 }),
      async () => makeIdempotent((key: string) => key, { store: strict, name: 'n' }),
      async () => fetchIdempotency({ store: strict, scope: 'shared' }),
      async () => idempotentConsumer({ store: strict, name: 'n', key: () => 'k', handler: () => 1 }),
    ];
    for (const ask of asks)
      expect(await errorOf(ask())).toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/scope/),
      });
    expect(await createIdempotency({ store: strict, name: 'n' }).run('k', () => 1, { scope: 's' })).toBe(1);
  });

  test('run(), get(), resolve() and forget() need a name, and say what it used to be', async () => {
    const idempotency = createIdempotency({ store });
    const asks = [
      idempotency.run('k', () => 1),
      idempotency.get('k'),
      idempotency.resolve('k', { result: 1 }),
      idempotency.forget('k'),
    ];
    for (const ask of asks)
      expect(await errorOf(ask)).toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringMatching(/'run'/),
      });
  });

  test('users find only what is theirs', () => {
    const idempotency = createIdempotency({ store });
    expect(Reflect.ownKeys(Object.getPrototypeOf(idempotency) as object).sort()).toEqual(
      ['close', 'constructor', 'forget', 'get', 'on', 'resolve', 'run', 'stats'].sort(),
    );
    expect(Object.keys(idempotency)).toEqual([]);
  });

  test.each([3_600, 86_400, 604_800])('a ttl of %d is warned of, once an instance', async (ttl) => {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    const idempotency = createIdempotency({ store: new InMemoryStore(), name: 'n', logger });
    for (const key of ['a', 'b']) await idempotency.run(key, () => 1, { ttl });
    expect(warnings).toEqual([expect.stringMatching(/seconds were probably meant/)]);
  });
});
