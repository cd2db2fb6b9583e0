import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { idempotent, type IdempotencyRecord, type IdempotentOptions } from '../../src/index.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { deferred, errorOf } from '../support/deferred.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

let server: PrivateRedis;
let stores: RedisStore[];
beforeAll(async () => {
  server = await startRedis();
  stores = [new RedisStore(server.url), new RedisStore(server.url)];
});
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await server.stop();
});

/** An operation as of two processes, which share nothing but the server. */
function processes(name: string) {
  const records: IdempotencyRecord<string>[] = [];
  const onCacheHit = (_: string, record: IdempotencyRecord<string>) => void records.push(record);
  const calls = stores.map(
    (store) => (options: Omit<IdempotentOptions<string>, 'store'>) =>
      idempotent<string>({ name, store, logger: {}, onCacheHit, ...options }),
  );
  const twoWaits = async () => {
    while (idempotent.stats({ store: stores[1]!, name }).waits === 0)
      await new Promise((resolve) => setImmediate(resolve));
  };
  return { records, one: calls[0]!, two: calls[1]!, twoWaits };
}

test('on Redis, the hit count counts across processes, and who waited is told of the same record', async () => {
  const { records, one, two, twoWaits } = processes('hits');
  const gate = deferred<string>();
  const started = deferred();
  const owner = one({ key: 'k', execute: () => (started.resolve(), gate.promise) });
  await started.promise;
  const waiter = two({ key: 'k', execute: () => 'twice' });
  await twoWaits();
  gate.resolve('once');
  expect(await Promise.all([owner, waiter])).toEqual(['once', 'once']);
  for (const call of [one, two, one]) expect(await call({ key: 'k', execute: () => 'twice' })).toBe('once');
  expect(records.slice(1).map(({ hitCount }) => hitCount)).toEqual([1, 2, 3]);
  expect(new Set(records.map(({ createdAt, fence }) => `${createdAt} ${fence}`)).size).toBe(1);
});

test('on Redis, a failure reaches who waited in another process, and the next call runs again', async () => {
  const { records, one, two, twoWaits } = processes('failures');
  const gate = deferred<string>();
  const started = deferred();
  const owner = errorOf(one({ key: 'f', execute: () => (started.resolve(), gate.promise) }));
  await started.promise;
  const waiter = errorOf(two({ key: 'f', execute: () => 'twice' }));
  await twoWaits();
  gate.reject(new RangeError('too much'));
  for (const error of [await owner, await waiter]) {
    expect(error).toMatchObject({ name: 'RangeError', message: 'too much' });
  }
  expect(records).toMatchObject([{ status: 'FAILED', error: { name: 'RangeError' } }]);
  expect(await two({ key: 'f', execute: ({ attempt }) => `attempt ${attempt}` })).toBe('attempt 2');
});
