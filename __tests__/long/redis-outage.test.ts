import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Redis } from 'ioredis';
import { createIdempotency } from '../../src/idempotency/idempotency.js';
import { newToken } from '../../src/core/token.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { placeOf } from '../support/instances.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';

jest.setTimeout(240_000);
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

let server: PrivateRedis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const heapUsed = () => (gc(), process.memoryUsage().heapUsed);

/** Calls the store failed, `atOnce` of them at a time. */
async function refuse(one: ReturnType<typeof createIdempotency>, count: number, atOnce: number) {
  let next = 0;
  let refused = 0;
  const caller = async () => {
    while (next < count)
      await one
        .run(`order-${next++}`, () => 1)
        .catch((error: { code?: string }) => {
          if (error.code === 'STORE_UNAVAILABLE') refused++;
        });
  };
  await Promise.all(Array.from({ length: atOnce }, caller));
  return refused;
}

/** Of a core. The least of three stretches, since the garbage of the calls is collected in the first; each has a try of the store. */
async function idleShare(): Promise<number> {
  const shares: number[] = [];
  for (let stretch = 0; stretch < 3; stretch++) {
    const [begunMs, start] = [performance.now(), process.cpuUsage()];
    await later(6_500);
    const { user, system } = process.cpuUsage(start);
    shares.push((user + system) / 1e3 / (performance.now() - begunMs));
  }
  return Math.min(...shares);
}

async function scriptCalls(): Promise<number> {
  const admin = new Redis(server.port);
  const info = await admin.info('commandstats');
  admin.disconnect();
  let calls = 0;
  for (const [, count] of info.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)) calls += Number(count);
  return calls;
}

describe('an outage, on a connection of our own', () => {
  test('100,000 refused calls leave next to nothing behind, and no storm when the server is back', async () => {
    const calls = 100_000;
    const store = new RedisStore(server.url);
    const one = createIdempotency({ store, name: 'charge', storeTimeout: 40, logger: {} });
    await one.run('warm', () => 1, { storeTimeout: 5_000 });
    await server.stop();
    const before = heapUsed();
    expect(await refuse(one, calls, 10_000)).toBe(calls);
    const keptMb = (heapUsed() - before) / 1024 / 1024;
    const busy = await idleShare();
    await server.restart();
    await later(2_000);
    const sent = await scriptCalls();
    process.stdout.write(
      `outage: ${calls} refused calls keep ${keptMb.toFixed(1)} MB, ${(busy * 100).toFixed(1)} % of a core while idle; ` +
        `${sent} scripts within two seconds of the return\n`,
    );
    expect(keptMb).toBeLessThan(64);
    expect(busy).toBeLessThan(0.05);
    expect(sent).toBeLessThanOrEqual(2 * calls);
    await expect(one.run('order-1', () => 'ran', { storeTimeout: 5_000 })).resolves.toBe('ran');
    await one.close();
    await store.close();
  });
});

describe('releaseMany', () => {
  const claim = (token: string) => ({
    ...{ token, replacing: undefined, leaseMs: 20_000, unsettledRetentionMs: 60_000 },
    ...{ onAbandoned: 'retry' as const, fingerprint: undefined },
  });

  test('is a release of each: what was claimed is undone, the others leave a mark, a foreign value fails alone', async () => {
    const store = new RedisStore(server.url);
    const items = ['a', 'b', 'wrong', 'c'].map((key) => ({ key: placeOf(`many-${key}`), token: newToken() }));
    const [a, b, wrong, c] = items as [
      (typeof items)[0],
      (typeof items)[0],
      (typeof items)[0],
      (typeof items)[0],
    ];
    await store.claim(a.key, claim(a.token));
    await store.claim(c.key, claim(c.token));
    const admin = new Redis(server.port);
    await admin.lpush(wrong.key.address, 'x');
    admin.disconnect();
    const results = await store.releaseMany(items);
    expect(results).toMatchObject([
      { status: 'fulfilled', value: true },
      { status: 'fulfilled', value: false },
      { status: 'rejected', reason: { code: 'CORRUPT_RECORD' } },
      { status: 'fulfilled', value: true },
    ]);
    expect(await store.read(a.key)).toBeUndefined();
    // The mark: a claim that arrives late is not granted.
    expect(await store.claim(b.key, claim(b.token))).toMatchObject({ kind: 'existing' });
    await store.close();
  });
});
