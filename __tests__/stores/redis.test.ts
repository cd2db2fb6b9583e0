import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { grantedLease } from '../../src/core/record.js';
import { RedisStore } from '../../src/stores/redis/store.js';
import { startRedis, type PrivateRedis } from '../support/redis-server.js';
import { claim, DONE, KEY, request } from './redis-steps.js';

let server: PrivateRedis;
let client: Redis;
let store: RedisStore;
beforeAll(async () => (server = await startRedis()));
afterAll(() => server.stop());
beforeEach(async () => {
  client = new Redis(server.url);
  store = new RedisStore(server.url);
  await client.flushall();
});
afterEach(async () => {
  await store.close();
  client.disconnect();
});

describe('records of the plain recipe', () => {
  const recipe = JSON.stringify({ status: 'success', reason: 'é', metadata: {}, context: { a: 1 } });

  test('are honoured as completed results and stay byte for byte what they were', async () => {
    await client.setex(KEY.address, 100, recipe);
    const answer = await store.claim(KEY, request());
    expect(answer).toMatchObject({
      kind: 'existing',
      record: { status: 'COMPLETED', final: true, format: 'recipe', payload: recipe, hitCount: 0 },
    });
    const lease = {
      ...(await claim(store, { ...KEY, address: 'elsewhere' })),
      fence: Number.MAX_SAFE_INTEGER,
    };
    expect(await store.settle(KEY, lease, DONE)).toBe(false);
    expect(await store.renew(KEY, lease)).toBe(false);
    expect(await store.release(KEY, lease.token)).toBe(false);
    expect(await store.read(KEY)).toMatchObject({ format: 'recipe', payload: recipe });
    expect(await client.get(KEY.address)).toBe(recipe);
    expect(await client.ttl(KEY.address)).toBeGreaterThan(95);
  });

  test('say when they expire, or that they never do', async () => {
    await client.setex(KEY.address, 100, recipe);
    const expiresAtMs = (await store.read(KEY))!.expiresAtMs;
    expect(Math.abs(expiresAtMs - Date.now() - 100_000)).toBeLessThan(2_000);
    await client.persist(KEY.address);
    expect((await store.read(KEY))!.expiresAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('are forgotten by a person', async () => {
    await client.setex(KEY.address, 100, recipe);
    expect(await store.override(KEY, { kind: 'forget', force: false })).toBe('done');
    expect((await store.claim(KEY, request())).kind).toBe('acquired');
  });
});

describe('values that are no records', () => {
  const header = async (): Promise<string> => {
    await claim(store, KEY);
    return (await client.get(KEY.address))!;
  };
  const corrupt = { name: 'StoreError', code: 'CORRUPT_RECORD', transient: false };

  async function expectUntouched(value: string, message: RegExp, code = 'CORRUPT_RECORD'): Promise<void> {
    await client.set(KEY.address, value);
    const lease = {
      ...(await claim(store, { ...KEY, address: 'elsewhere' })),
      fence: Number.MAX_SAFE_INTEGER,
    };
    for (const replacing of [undefined, value.slice(34, 50)]) {
      const refused = store.claim(KEY, request({ replacing }));
      await expect(refused).rejects.toMatchObject({
        ...corrupt,
        code,
        message: expect.stringMatching(message),
      });
    }
    await expect(store.read(KEY)).rejects.toMatchObject({ ...corrupt, code });
    expect(await store.settle(KEY, lease, DONE)).toBe(false);
    expect(await store.renew(KEY, lease)).toBe(false);
    expect(await store.release(KEY, lease.token)).toBe(false);
    expect(await client.get(KEY.address)).toBe(value);
  }

  test.each(['garbage', '', '2', '2Prn-', 'x'.repeat(200), '2' + '!'.repeat(150), '1Prn-'.padEnd(114, '0')])(
    '%p is CORRUPT_RECORD',
    (value) => expectUntouched(value, /not a record/),
  );

  test('a header that was cut short is CORRUPT_RECORD', async () => {
    await expectUntouched((await header()).slice(0, 79), /not a record/);
  });

  test.each([0, 20, 60, 78])('a header with a garbled character at %i is CORRUPT_RECORD', async (at) => {
    const good = await header();
    await expectUntouched(`${good.slice(0, at)}?${good.slice(at + 1)}`, /not a record/);
  });

  test('a record of format 3 is RECORD_TOO_NEW, and is left alone', async () => {
    await expectUntouched(`3${(await header()).slice(1)}`, /newer version.*upgrade/, 'RECORD_TOO_NEW');
  });

  test('a record of format 3 of another shape is RECORD_TOO_NEW as well', async () => {
    await expectUntouched('3C{"whatever":"comes"}', /newer version.*upgrade/, 'RECORD_TOO_NEW');
  });

  test('a key of another type is CORRUPT_RECORD, and not worth a retry', async () => {
    await client.hset(KEY.address, 'a', 'b');
    await expect(store.claim(KEY, request())).rejects.toMatchObject(corrupt);
    await expect(store.read(KEY)).rejects.toMatchObject(corrupt);
    expect(await client.hgetall(KEY.address)).toEqual({ a: 'b' });
  });

  test('a person may replace one', async () => {
    await client.set(KEY.address, 'garbage');
    const byHand = { kind: 'resolve', token: 'h'.repeat(16), ...DONE } as const;
    expect(await store.override(KEY, byHand)).toBe('done');
    expect(await store.read(KEY)).toMatchObject({ status: 'COMPLETED', payload: '"done"' });
  });
});

describe('the layout', () => {
  test('a record reads well in redis-cli, at the very address', async () => {
    const lease = await claim(store, KEY);
    await store.settle(KEY, lease, DONE);
    const value = (await client.get(KEY.address))!;
    expect(value).toHaveLength(80 + '"done"'.length);
    expect(value.startsWith('2Crv-')).toBe(true);
    expect(value).toContain(lease.token);
    expect(value.endsWith('"done"')).toBe(true);
    expect(await client.pttl(KEY.address)).toBeGreaterThan(50_000);
  });

  // jemalloc gives memory out in steps: the next smaller one for 200 bytes has no room for the 80 characters of the header.
  test.each([
    [20, 1.5],
    [200, 1.27],
  ])('a record of %i bytes takes at most %d times the memory of a bare SET', async (size, most) => {
    const payload = 'x'.repeat(size);
    // As many, and under such keys, as `npm run bench` counts: what a server's tables take differs with their number.
    const count = 20_000;
    const addresses = Array.from({ length: count }, (_, n) => `idempotency:bench:order-${10_000_000 + n}`);
    // The least of some: the server takes a while to give back the buffers of a burst, and the old table of a rehash.
    const used = async (): Promise<number> => {
      const told: number[] = [];
      for (let i = 0; i < 15; i++) {
        told.push(Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return Math.min(...told);
    };
    const growth = async (fill: (address: string) => Promise<unknown>): Promise<number> => {
      await client.flushall('SYNC');
      const before = await used();
      for (let i = 0; i < count; i += 100) await Promise.all(addresses.slice(i, i + 100).map(fill));
      return (await used()) - before;
    };
    await claim(store, KEY);
    const bare = await growth((address) => client.set(address, payload, 'PX', 60_000));
    const ours = await growth(async (address) => {
      const key = { ...KEY, address };
      const terms = request();
      const answer = await store.claim(key, terms);
      if (answer.kind !== 'acquired') throw new Error('expected a lease');
      await store.settle(key, grantedLease(terms, answer.grant), { ...DONE, payload });
    });
    expect(ours / bare).toBeLessThanOrEqual(most);
  });

  test('G5: a fence ahead of the clock is counted on: by a takeover, by a claim over a tombstone, by a person', async () => {
    const ahead = 9_007_199_254_700_000;
    const retryable = { ...DONE, status: 'FAILED', final: false } as const;
    const lease = { ...(await claim(store, KEY)), fence: ahead };
    await store.settle(KEY, lease, retryable);
    const next = await store.claim(KEY, request({ replacing: lease.token }));
    expect(next).toMatchObject({ kind: 'acquired', grant: { fence: ahead + 1, attempt: 2 } });
    await store.override(KEY, { kind: 'forget', force: true });
    expect((await claim(store, KEY)).fence).toBe(ahead + 3);
  });

  test('a crash loop does not make the record grow', async () => {
    let replacing = (await claim(store, KEY)).token;
    const lengths = new Set<number>();
    for (let round = 0; round < 4; round++) {
      await client.setrange(KEY.address, 52, '0000000000000');
      const answer = await store.claim(KEY, request({ replacing }));
      if (answer.kind !== 'acquired') throw new Error('expected a lease');
      replacing = answer.grant.token;
      lengths.add(await client.strlen(KEY.address));
    }
    // The first record has no previous attempt; from then on each has one, and says when the first one began.
    expect([...lengths].slice(1)).toEqual([2 * (80 + 16 + 14) + 13]);
  });

  test('every method is one script call and no other command', async () => {
    await claim(store, { ...KEY, address: 'warm up' });
    await store.settle(KEY, await claim(store, KEY), DONE);
    await client.flushall();
    await client.config('RESETSTAT');
    await store.settle(KEY, await claim(store, KEY), DONE);
    await store.claim(KEY, request());
    const calls = /cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1];
    expect(calls).toBe('3');
  });
});

describe('what may fail without failing the call', () => {
  test('NOSCRIPT, after a restart or SCRIPT FLUSH, is answered with the script', async () => {
    await claim(store, KEY);
    await client.script('FLUSH');
    expect(await store.claim(KEY, request())).toMatchObject({ kind: 'existing' });
  });

  test('a hit that cannot be counted does not fail the claim', async () => {
    await store.settle(KEY, await claim(store, KEY), DONE);
    await client.config('SET', 'maxmemory', '1');
    try {
      expect(await store.claim(KEY, request())).toMatchObject({
        record: { status: 'COMPLETED', hitCount: 0 },
      });
      const full = {
        code: 'STORE_UNAVAILABLE',
        transient: false,
        message: expect.stringMatching(/maxmemory/),
      };
      await expect(claim(store, { ...KEY, address: 'new' })).rejects.toMatchObject(full);
    } finally {
      await client.config('SET', 'maxmemory', '0');
    }
  });

  test('a user without channel rights settles all the same, and is told not to wait for wake-ups', async () => {
    await client.acl('SETUSER', 'quiet', 'on', '>pw', '~*', 'resetchannels', '+@all');
    const quiet = new RedisStore(`redis://quiet:pw@127.0.0.1:${server.port}`);
    const lease = await claim(quiet, KEY);
    expect(await quiet.settle(KEY, lease, DONE)).toBe(true);
    await expect(quiet.subscribe(KEY, () => undefined)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await quiet.close();
  });

  test('a user without any rights, and a wrong password, are no passing trouble', async () => {
    await client.acl('SETUSER', 'nobody', 'on', '>pw', '~*', '-@all', '+hello', '+auth', '+info', '+client');
    for (const user of ['nobody:pw', 'nobody:wrong']) {
      const refused = new RedisStore(`redis://${user}@127.0.0.1:${server.port}`);
      await expect(refused.read(KEY)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', transient: false });
      await refused.close();
    }
  });
});

test('hostile identifiers are refused before they reach the header', async () => {
  for (const bad of [{ token: 'short' }, { token: 'é'.repeat(16) }, { fingerprint: 'x' }]) {
    await expect(store.claim(KEY, request(bad))).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  }
});
