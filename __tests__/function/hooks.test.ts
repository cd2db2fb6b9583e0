import { describe, expect, test } from '@jest/globals';
import {
  idempotent,
  InMemoryStore,
  type IdempotencyRecord,
  type IdempotentOptions,
} from '../../src/index.js';
import { deferred, errorOf } from '../support/deferred.js';
import { FaultyStore } from '../support/faulty-store.js';

interface Charge {
  chargeId: string;
  at: Date;
}

/** Calls on one store, each as of a process of its own, with what their hooks were told. */
function observed() {
  const store = new InMemoryStore();
  const told: [hook: string, key: string, record?: IdempotencyRecord<Charge>][] = [];
  const warnings: string[] = [];
  let runs = 0;
  const call = (options: Partial<IdempotentOptions<Charge>> = {}) =>
    idempotent<Charge>({
      key: 'k',
      store: new FaultyStore(store),
      logger: { warn: (message) => warnings.push(message) },
      execute: async () => ({ chargeId: `ch_${++runs}`, at: new Date(0) }),
      onCacheHit: (key, record) => void told.push(['hit', key, record]),
      onCacheMiss: (key) => void told.push(['miss', key]),
      ...options,
    });
  return { store, told, warnings, call };
}

describe('onCacheMiss and onCacheHit', () => {
  test('tell of a first call and of a replay, with the record', async () => {
    const { told, call } = observed();
    const before = Date.now();
    await call({ ttl: '2h' });
    expect(told).toEqual([['miss', 'k']]);
    const result = await call();
    const record = told[1]![2]!;
    expect(told[1]).toEqual(['hit', 'k', record]);
    expect(record).toMatchObject({
      key: 'k',
      status: 'COMPLETED',
      result: { chargeId: 'ch_1', at: new Date(0) },
      hitCount: 1,
    });
    expect(record).not.toHaveProperty('error');
    // A copy of its own: what a hook does to it is not the caller's.
    expect(record.result).not.toBe(result);
    expect(record.createdAt).toBeGreaterThanOrEqual(before);
    expect(record.createdAt).toBeLessThanOrEqual(Date.now());
    expect(record.expiresAt - record.createdAt).toBeGreaterThanOrEqual(7_200_000);
  });

  test('the hit count counts across processes', async () => {
    const { told, call } = observed();
    for (let i = 0; i < 5; i++) await call();
    expect(told.slice(1).map(([, , record]) => record!.hitCount)).toEqual([1, 2, 3, 4]);
  });

  test('joiners fire onCacheHit, and count in stats() only', async () => {
    const { store, told, call } = observed();
    const gate = deferred<Charge>();
    const one = new FaultyStore(store);
    const options = { store: one, execute: () => gate.promise };
    const callers = Array.from({ length: 4 }, () => call(options));
    gate.resolve({ chargeId: 'ch_1', at: new Date(0) });
    await Promise.all(callers);
    expect(told.map(([hook]) => hook)).toEqual(['miss', 'hit', 'hit', 'hit']);
    expect(idempotent.stats({ store: one })).toMatchObject({ misses: 1, joins: 3, hits: 3 });
    await call();
    expect(told.at(-1)![2]!.hitCount).toBe(1);
  });

  test('a caller that waited for another process fires onCacheHit once', async () => {
    const { told, call } = observed();
    const gate = deferred<Charge>();
    const started = deferred();
    const owner = call({ execute: () => (started.resolve(), gate.promise) });
    await started.promise;
    const waiter = call();
    gate.resolve({ chargeId: 'ch_1', at: new Date(0) });
    await Promise.all([owner, waiter]);
    expect(told.map(([hook]) => hook)).toEqual(['miss', 'hit']);
  });

  test('a failed attempt is a miss for who ran it, and a hit with the error for who waited', async () => {
    const { store, told, call } = observed();
    const gate = deferred<Charge>();
    const options = { store: new FaultyStore(store), execute: () => gate.promise };
    const callers = [call(options), call(options)].map(errorOf);
    gate.reject(new TypeError('declined'));
    await Promise.all(callers);
    expect(told.map(([hook]) => hook)).toEqual(['miss', 'hit']);
    expect(told[1]![2]).toMatchObject({
      status: 'FAILED',
      error: { name: 'TypeError', message: 'declined' },
    });
    expect(told[1]![2]).not.toHaveProperty('result');
  });

  test('a call whose work ran fires onCacheMiss alone, also when its answer is the record of another', async () => {
    const { store, told, call } = observed();
    const gate = deferred<Charge>();
    const started = deferred();
    const frozen = new FaultyStore(store);
    const overtaken = call({
      store: frozen,
      lease: 30,
      execute: () => (started.resolve(), gate.promise),
    });
    await started.promise;
    frozen.cut();
    const other = await call();
    frozen.heal();
    gate.resolve({ chargeId: 'late', at: new Date(0) });
    expect(await overtaken).toEqual(other);
    expect(told.map(([hook]) => hook)).toEqual(['miss', 'miss']);
  });

  test('neither fires for a call that is refused', async () => {
    const { store, told, call } = observed();
    const gate = deferred<Charge>();
    const options = { store: new FaultyStore(store), execute: () => gate.promise };
    const owner = call(options);
    await errorOf(call({ ...options, concurrentBehavior: 'REJECT' }));
    gate.resolve({ chargeId: 'ch_1', at: new Date(0) });
    await owner;
    expect(told.map(([hook]) => hook)).toEqual(['miss']);
  });

  test('a record without its value is told of as it is', async () => {
    const { told, call } = observed();
    await call({ maxResultBytes: 1 });
    expect(await errorOf(call())).toMatchObject({ code: 'RESULT_UNAVAILABLE' });
    expect(told[1]![2]).toMatchObject({ status: 'COMPLETED' });
    expect(told[1]![2]).not.toHaveProperty('result');
  });
});

describe('a hook', () => {
  const failing = {
    throws: () => {
      throw new Error('broken hook');
    },
    rejects: () => Promise.reject(new Error('broken hook')),
  };

  test.each(Object.entries(failing))('that %s harms no call, and is logged', async (_, hook) => {
    const { warnings, call } = observed();
    const hooks = { onCacheHit: hook, onCacheMiss: hook };
    const first = await call(hooks);
    expect(await call(hooks)).toEqual(first);
    const logged = ['onCacheMiss', 'onCacheHit'].map((name) => expect.stringMatching(`${name}.*broken hook`));
    expect(warnings).toEqual(logged);
  });

  test('that throws is not made worse by a logger that throws', async () => {
    const { call } = observed();
    const logger = { warn: failing.throws };
    const hooks = { onCacheHit: failing.throws, onCacheMiss: failing.rejects, logger };
    const first = await call(hooks);
    expect(await call(hooks)).toEqual(first);
  });

  test('that never ends holds up nobody', async () => {
    const { call } = observed();
    const hooks = {
      onCacheHit: () => new Promise(() => undefined),
      onCacheMiss: () => new Promise(() => undefined),
    };
    const first = await call(hooks);
    expect(await call(hooks)).toEqual(first);
  });
});
