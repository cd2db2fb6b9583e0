import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import type * as stores from '../../src/default-store.js';
import { storeFor } from '../../src/default-store.js';
import { idempotent, InMemoryStore, makeIdempotent } from '../../src/index.js';
import { deferred } from '../support/deferred.js';
import { FaultyStore } from '../support/faulty-store.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('calls', () => {
  test('join whatever logger, codec or hooks they bring', async () => {
    const store = new FaultyStore(new InMemoryStore());
    const gate = deferred<string>();
    const calls = Array.from({ length: 3 }, () =>
      idempotent({ key: 'k', store, logger: {}, codec: {}, execute: () => gate.promise }),
    );
    gate.resolve('once');
    expect(await Promise.all(calls)).toEqual(['once', 'once', 'once']);
    expect(store.calls.claim).toBe(1);
    // Counted together, too.
    expect(idempotent.stats({ store })).toMatchObject({ misses: 1, joins: 2 });
  });

  test('of two copies of the library meet in the memory store of the process, and in one wrapper', async () => {
    // The query makes it another module, as the ESM and the CommonJS build are.
    const copy = '../../src/default-store.ts?copy';
    const other = (await import(copy)) as typeof stores;
    expect(other.storeFor).not.toBe(storeFor);
    const logger = {};
    for (const store of [undefined, new Map()]) {
      const gate = deferred<string>();
      const calls = [storeFor, other.storeFor].map((copyOf) =>
        idempotent({ key: 'copies', store: copyOf(store, logger), logger, execute: () => gate.promise }),
      );
      gate.resolve('met');
      expect(await Promise.all(calls)).toEqual(['met', 'met']);
      expect(idempotent.stats(store ? { store } : {})).toMatchObject({
        misses: 1,
        joins: 1,
      });
    }
  });

  test('keep no store, logger, codec or result alive that their users have dropped', async () => {
    const dropped = await useAndDrop();
    const giveUpAt = performance.now() + 10_000;
    while (dropped.some((each) => each.deref() !== undefined) && performance.now() < giveUpAt) {
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
    }
    expect(dropped.map((each) => each.deref())).toEqual(dropped.map(() => undefined));
  });
});

async function useAndDrop(): Promise<WeakRef<object>[]> {
  // A store that lives on, as the process's own does.
  const made: object[] = [];
  const drop = <T extends object>(object: T): T => (made.push(object), object);
  for (const store of [drop(new InMemoryStore()), undefined]) {
    const logger = drop({ warn: () => undefined });
    const codec = drop({ classes: [] });
    const options = { ...(store && { store }), logger, codec, ttl: '1ms' };
    await idempotent({ ...options, key: 'k', execute: () => drop({ paid: true }) });
    await makeIdempotent(async (id: string) => drop({ id }), { ...options, name: 'made' })('k');
  }
  return made.map((object) => new WeakRef(object));
}
